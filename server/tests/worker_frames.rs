//! What goes between the front and its workers, and what does not: frames that are cut off, too long, out of
//! order, repeated, of another build, or noise. Refuses to know processes.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::picture_codec::PictureFormat;
use reverie_scheduler::dispatcher::{JobFault, JobId, Role};
use reverie_scheduler::{ContentHash, SchedulerStats};
use reverie_server::config::EngineLimits;
use reverie_server::engine::order::{
    Condition, Conditions, EngineMessage, EngineOrder, WrittenPiece,
};
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, PictureParams, ProgressReports, PromptSegment, RequestIdentity,
    SamplingParams, StoppingParams, TenantId, TraceWish,
};
use reverie_server::pool::frame::{FrameError, FrameReader, FrameWriter, MAX_FRAME};
use reverie_server::pool::vocabulary::{PROTOCOL, Setup, Speech, WorkerModel};
use reverie_server::pool::wire::{Wire, WireError, from_bytes, to_bytes};
use reverie_server::pool::worker_process::{Conversation, WorkerFailure};

fn picture() -> Arc<Picture> {
    Arc::new(Picture::new(2, 3, (0..18).collect()))
}

fn request() -> Arc<EngineRequest> {
    Arc::new(EngineRequest {
        prompt: vec![
            PromptSegment::Tokens(vec![1, 2, 300]),
            PromptSegment::Picture(picture()),
            PromptSegment::Dream,
        ],
        sampling: SamplingParams {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 3,
            seed: 1,
            ..SamplingParams::greedy()
        },
        stopping: StoppingParams {
            max_tokens: Some(7),
            min_tokens: 1,
            ignore_eos: true,
            ends_with_images: true,
            stop: vec!["End ☂".to_owned()],
        },
        pictures: PictureParams {
            choice: ImageChoice::Exactly(2),
            max_images: 2,
            width: 64,
            height: 32,
            num_inference_steps: 5,
            guidance_scale: 2.5,
            guidance_rescale: 0.25,
            eta: 1.0,
            negative_prompt: Some(vec![PromptSegment::Tokens(vec![9])]),
            sampler: SamplerKind::UniPc,
            seed: u64::MAX,
            format: PictureFormat::Jpeg { quality: 80 },
            progress: Some(ProgressReports { num_previews: 2 }),
            trace: Some(TraceWish { max_bytes: 9 }),
        },
        choice: 3,
        deadline: Some(Duration::from_millis(1_500)),
        tenant: TenantId(u128::MAX - 5),
        priority: -3,
        identity: RequestIdentity {
            fingerprint: [3; 32],
            idempotency_key: Some([4; 32]),
            created: 12,
        },
    })
}

fn orders() -> Vec<EngineOrder> {
    let content = ContentHash([7; 32]);
    let written = vec![
        WrittenPiece::Token(5),
        WrittenPiece::LastToken(6),
        WrittenPiece::Picture { picture: picture(), content },
    ];
    let positive = Condition { num_rows: 1, num_columns: 2, values: vec![0.5, -1.5] };
    let conditions = Conditions { positive: positive.clone(), negative: Some(positive) };
    vec![
        EngineOrder::Write { job: JobId(1), request: request(), written },
        EngineOrder::Draw { job: JobId(2), request: request(), picture: 1, conditions },
        EngineOrder::Picture { job: JobId(3), picture: picture(), content },
        EngineOrder::Abort { job: JobId(4) },
        EngineOrder::Shutdown,
    ]
}

fn messages() -> Vec<Speech> {
    let cause = "not finite".to_owned();
    vec![
        Speech::Hello { protocol: PROTOCOL, build: "1".to_owned() },
        Speech::Engine(EngineMessage::Heartbeat),
        Speech::Engine(EngineMessage::Stats(SchedulerStats {
            num_running: 3,
            num_denoiser_passes: 9,
            ..SchedulerStats::default()
        })),
        Speech::Engine(EngineMessage::Failed { job: JobId(1), fault: JobFault::NotFinite, cause }),
        Speech::Engine(EngineMessage::Denoised {
            job: JobId(7),
            step: 3,
            num_steps: 20,
            preview: Some(picture()),
        }),
        Speech::Engine(EngineMessage::Traced {
            job: JobId(8),
            record: TensorRecord { name: "x".to_owned(), shape: vec![2], values: vec![1.5, -0.0] },
        }),
        Speech::Engine(EngineMessage::Drawn {
            job: JobId(9),
            picture: picture(),
            content: ContentHash([1; 32]),
        }),
    ]
}

fn frames(values: &[impl Wire]) -> Vec<u8> {
    let mut writer = FrameWriter::new(Vec::new());
    for value in values {
        writer.write(value).expect("a vector takes everything");
    }
    writer.into_stream()
}

/// Everything that can be read, and why no more.
fn read_all<T: Wire>(bytes: &[u8]) -> (Vec<T>, FrameError) {
    let mut reader = FrameReader::new(Cursor::new(bytes));
    let mut values = Vec::new();
    loop {
        match reader.read() {
            Ok(value) => values.push(value),
            Err(error) => return (values, error),
        }
    }
}

#[test]
fn everything_that_is_written_is_read_back() {
    let (read, end) = read_all::<EngineOrder>(&frames(&orders()));
    assert!(matches!(end, FrameError::Closed));
    assert_eq!(format!("{read:?}"), format!("{:?}", orders()));
    let (read, _) = read_all::<Speech>(&frames(&messages()));
    assert_eq!(format!("{read:?}"), format!("{:?}", messages()));
}

#[test]
fn a_frame_that_is_cut_off_anywhere_is_an_error_and_what_came_before_it_is_not() {
    let bytes = frames(&orders());
    let first = frames(&orders()[..1]).len();
    for len in first + 1..bytes.len() {
        let (read, end) = read_all::<EngineOrder>(&bytes[..len]);
        assert!((1..5).contains(&read.len()));
        assert!(matches!(end, FrameError::Stream(_) | FrameError::Closed), "{len}: {end}");
    }
}

#[test]
fn frames_out_of_order_left_out_or_repeated_are_errors() {
    let [a, b, c] = [0, 1, 2].map(|at| {
        let all = frames(&messages());
        let ends: Vec<usize> = (0..=4).map(|count| frames(&messages()[..count]).len()).collect();
        all[ends[at]..ends[at + 1]].to_vec()
    });
    for (order, found, wanted) in
        [([&a, &c, &b], 2, 1), ([&b, &a, &c], 1, 0), ([&a, &a, &b], 0, 1), ([&a, &b, &b], 1, 2)]
    {
        let (_, end) = read_all::<Speech>(&order.map(Vec::as_slice).concat());
        let FrameError::OutOfOrder { found: is, wanted: was } = end else { panic!("{end}") };
        assert_eq!((is, was), (found, wanted));
    }
}

#[test]
fn a_length_takes_no_memory_and_one_beyond_the_bound_is_refused_at_once() {
    let mut head = u32::try_from(MAX_FRAME + 1).expect("four bytes").to_le_bytes().to_vec();
    head.extend([0; 8]);
    let (_, end) = read_all::<Speech>(&head);
    assert!(matches!(end, FrameError::TooLong { len } if len == MAX_FRAME + 1));
    // A list that claims to be longer than what is there.
    let mut bytes = vec![1, 2];
    bytes.extend(u64::MAX.to_le_bytes());
    assert!(from_bytes::<Speech>(&bytes).is_err());
    let endless = from_bytes::<Vec<u32>>(&u64::MAX.to_le_bytes());
    assert_eq!(endless, Err(WireError::Truncated));
}

#[test]
fn a_picture_whose_pixels_are_too_few_or_missing_is_no_picture() {
    for (width, height, len) in [(2u32, 3u32, 17u64), (0, 0, 0), (u32::MAX, u32::MAX, 3)] {
        let mut bytes = [width.to_le_bytes(), height.to_le_bytes()].concat();
        bytes.extend(len.to_le_bytes());
        bytes.extend(vec![0; len as usize]);
        assert!(matches!(from_bytes::<Picture>(&bytes), Err(WireError::Invalid { .. })));
    }
}

/// Numbers that look random, always the same.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0 >> 33
    }
}

#[test]
fn no_noise_and_no_change_of_a_byte_makes_reading_panic() {
    let mut noise = Noise(1);
    let good = [to_bytes(&orders()[0]), to_bytes(&orders()[1]), to_bytes(&messages()[3])];
    for round in 0..20_000 {
        let bytes: Vec<u8> = if round % 2 == 0 {
            (0..noise.next() % 64).map(|_| noise.next() as u8).collect()
        } else {
            let mut bytes = good[(noise.next() % 3) as usize].clone();
            for _ in 0..=noise.next() % 3 {
                let at = (noise.next() % bytes.len() as u64) as usize;
                bytes[at] = noise.next() as u8;
            }
            bytes
        };
        let _whatever = from_bytes::<EngineOrder>(&bytes);
        let _whatever = from_bytes::<Speech>(&bytes);
        let _whatever = from_bytes::<Setup>(&bytes);
        let _whatever = read_all::<Speech>(&bytes);
    }
}

#[test]
fn a_worker_does_not_work_for_a_front_of_another_build() {
    let setup = Setup {
        protocol: PROTOCOL,
        build: "another".to_owned(),
        model: WorkerModel {
            folder: "nowhere".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            kernels: "reverie".to_owned(),
            max_model_len: 8,
        },
        limits: EngineLimits {
            max_num_seqs: Some(1),
            max_num_batched_tokens: 8,
            max_waiting: 1,
            max_wait: Some(Duration::from_secs(5)),
            kv_cache_bytes: None,
            max_token_gap: Duration::from_millis(25),
            worker_timeout: Duration::from_secs(60),
        },
        num_sharing: 1,
        role: Role::Both,
        weight_arena: None,
    };
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    FrameWriter::new(&ours).write(&setup).expect("a socket that takes it");
    let refused = Conversation::open(theirs).err();
    assert!(matches!(refused, Some(WorkerFailure::Skewed { found }) if found == "another"));
}
