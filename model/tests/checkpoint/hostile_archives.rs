//! Torch archives and pickles made to break a reader or to run code: every one is refused, and
//! nothing runs.

use reverie_model::CheckpointError;

use crate::fixtures::{Scratch, decoder_part, golden, golden_folder, raw_tensors};
use crate::pickle_writer::{Placement, global, int, rebuild, text};
use crate::zip_writer::{write_archive, write_torch_archive, write_zip};

fn open_with(archive: &[u8]) -> CheckpointError {
    let scratch = Scratch::with_golden_configs();
    scratch.write("pytorch_model.bin", archive);
    scratch.open().expect_err("must be refused")
}

/// Opcode, offset and reason of the refusal of a pickle with one 4-byte storage named `0`.
fn pickle_refusal(pickle: &[u8]) -> (String, u64, String) {
    let storages = [("0".to_owned(), vec![0; 4])];
    match open_with(&write_torch_archive("pytorch_model", pickle, &storages)) {
        CheckpointError::Pickle { opcode, offset, reason, .. } => (opcode, offset, reason),
        other => panic!("wanted a pickle error, got {other}"),
    }
}

#[test]
fn a_pickle_that_calls_the_system_is_refused_at_the_name() {
    let attack = [b"\x80\x02", &global("os", "system")[..], b"X\x02\x00\x00\x00id\x85R."].concat();
    let (opcode, offset, reason) = pickle_refusal(&attack);
    assert_eq!((opcode.as_str(), offset), ("GLOBAL 'c'", 2));
    assert!(reason.contains("os.system"), "{reason}");

    let attack =
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94X\x02\x00\x00\x00id\x85\x94R.";
    let (opcode, offset, reason) = pickle_refusal(attack);
    assert_eq!((opcode.as_str(), offset), (r"STACK_GLOBAL '\x93'", 19));
    assert!(reason.contains("posix.system"), "{reason}");
}

#[test]
fn names_close_to_the_allowed_ones_are_refused() {
    for (module, name) in [
        ("builtins", "eval"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch", "load"),
        ("torch", "UntypedStorage.__reduce__"),
        ("collections", "OrderedDict.update"),
        ("torch.serialization", "load"),
        ("__builtin__", "getattr"),
    ] {
        let (opcode, _, reason) =
            pickle_refusal(&[b"\x80\x02", &global(module, name)[..]].concat());
        assert_eq!(opcode, "GLOBAL 'c'");
        assert!(reason.contains(&format!("{module}.{name}")), "{reason}");
    }
}

#[test]
fn opcodes_that_build_objects_are_refused_by_name() {
    for (byte, name) in [
        (b'i', "INST 'i'"),
        (b'o', "OBJ 'o'"),
        (0x81, r"NEWOBJ '\x81'"),
        (0x92, r"NEWOBJ_EX '\x92'"),
        (0x82, r"EXT1 '\x82'"),
        (b'P', "PERSID 'P'"),
        (b'0', "POP '0'"),
        (b'2', "DUP '2'"),
        (0x97, r"NEXT_BUFFER '\x97'"),
        (0xff, r"unknown '\xff'"),
    ] {
        let (opcode, offset, reason) = pickle_refusal(&[0x80, 2, byte]);
        assert_eq!((opcode.as_str(), offset), (name, 2));
        assert_eq!(reason, "not needed to rebuild tensors");
    }
}

#[test]
fn allowed_names_cannot_be_misused() {
    let ordered = global("collections", "OrderedDict");
    let storage = global("torch", "FloatStorage");
    let rebuild_v2 = global("torch._utils", "_rebuild_tensor_v2");
    let parameter = global("torch._utils", "_rebuild_parameter");
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        ([&ordered[..], b"]\x85R."].concat(), "REDUCE 'R'", "OrderedDict with arguments"),
        ([&storage[..], b")R."].concat(), "REDUCE 'R'", "not callable"),
        ([&rebuild_v2[..], b")R."].concat(), "REDUCE 'R'", "wants (storage"),
        ([&parameter[..], b")R."].concat(), "REDUCE 'R'", "without a tensor"),
        (b"N)R.".to_vec(), "REDUCE 'R'", "not one of torch's"),
        (
            [&ordered[..], b"}b."].concat(),
            "BUILD 'b'",
            "sets a dict or list as the state of a global",
        ),
        (b"}Nb.".to_vec(), "BUILD 'b'", "sets None"),
        (b"NQ.".to_vec(), "BINPERSID 'Q'", "not a tuple"),
        (b"N.".to_vec(), "STOP '.'", "not a dict of tensors"),
        (b"].".to_vec(), "STOP '.'", "not a dict of tensors"),
        (b"}.".to_vec(), "STOP '.'", "no tensors"),
        (b".".to_vec(), "STOP '.'", "nothing on the stack"),
        (b"\x85".to_vec(), r"TUPLE1 '\x85'", "too few"),
        (b"t".to_vec(), "TUPLE 't'", "no mark"),
        (b"}(Nu.".to_vec(), "SETITEMS 'u'", "key without a value"),
        (b"]NNs.".to_vec(), "SETITEM 's'", "for a list"),
        (b"}Na.".to_vec(), "APPEND 'a'", "for a dict"),
        (b"h\x05".to_vec(), "BINGET 'h'", "slot 5 is empty"),
        (b"X\xff\xff\xff\xffab".to_vec(), "BINUNICODE 'X'", "ends here"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), r"BINUNICODE8 '\x8d'", "ends here"),
        (b"\x8a\x09123456789".to_vec(), r"LONG1 '\x8a'", "int of 9 bytes"),
        ([b"c", &[b'a'; 999][..]].concat(), "GLOBAL 'c'", "longer than 256"),
        ([b")".to_vec(), b"\x85".repeat(99)].concat(), r"TUPLE1 '\x85'", "nest deeper"),
    ];
    for (body, wanted_opcode, wanted_reason) in cases {
        let (opcode, _, reason) = pickle_refusal(&[b"\x80\x02", &body[..]].concat());
        assert_eq!(opcode, wanted_opcode, "{reason}");
        assert!(reason.contains(wanted_reason), "{opcode}: {reason}");
    }
    let (opcode, _, reason) = pickle_refusal(b"\x80\x07");
    assert_eq!(
        (opcode.as_str(), reason.as_str()),
        (r"PROTO '\x80'", "protocol 7; 2 to 5 are read")
    );
}

#[test]
fn an_endless_pickle_is_stopped() {
    let (_, offset, reason) = pickle_refusal(&[&[0x80, 2][..], &vec![b'N'; 3_000_000]].concat());
    assert!(offset <= 2_000_002 && reason.contains("more than 2000000 opcodes"), "{reason}");
}

#[test]
fn tensors_cannot_reach_beyond_their_storage() {
    let one = |shape: &[usize], placement: Placement| {
        let tensor = rebuild(candle_core::DType::F32, shape, &placement);
        let pickle = [&b"\x80\x02}"[..], &text("lm_head.weight"), &tensor, b"s."].concat();
        let archive = write_torch_archive("x", &pickle, &[("0".to_owned(), vec![0; 16])]);
        match open_with(&archive) {
            CheckpointError::Format { reason, .. } => reason,
            other => panic!("wanted a format error, got {other}"),
        }
    };
    let at = |elements, first_element, stride: &[usize]| Placement {
        storage: "0".to_owned(),
        storage_elements: elements,
        first_element,
        stride: stride.to_vec(),
    };
    let most = u32::MAX as usize >> 1;
    assert!(one(&[5], at(4, 0, &[1])).contains("leaves its storage of 4 elements"));
    assert!(one(&[4], at(4, 1, &[1])).contains("leaves its storage"));
    assert!(one(&[2, 2], at(4, 0, &[3, 1])).contains("leaves its storage"));
    assert!(one(&[2], at(4, 0, &[most])).contains("leaves its storage"));
    assert!(one(&[4], at(4, 0, &[1, 1])).contains("1 dimensions but 2 strides"));
    assert!(one(&[4], at(5, 0, &[1])).contains("needs 20 bytes, but the file gives it 16"));
    assert!(one(&[most, most, most], at(4, 0, &[0, 0, 0])).contains("overflows"));
    assert!(one(&[0], at(4, 0, &[1])).contains("dimension of size 0"));
    let elsewhere = Placement { storage: "../x".to_owned(), ..at(4, 0, &[1]) };
    assert!(one(&[4], elsewhere).contains("which is missing"));
}

#[test]
fn an_expanded_tensor_of_the_wrong_shape_is_reported_and_never_built() {
    // Stride 0 repeats one element: 2^60 elements of a 16-byte storage.
    let huge = [1 << 30, 1 << 29];
    let placement = Placement {
        storage: "0".to_owned(),
        storage_elements: 4,
        first_element: 0,
        stride: vec![0, 0],
    };
    let tensor = rebuild(candle_core::DType::F32, &huge, &placement);
    let pickle = [&b"\x80\x02}"[..], &text("lm_head.weight"), &tensor, b"s."].concat();
    let archive = write_torch_archive("x", &pickle, &[("0".to_owned(), vec![0; 16])]);
    let error = open_with(&archive);
    assert!(matches!(error, CheckpointError::Tensors { .. }), "{error}");
    assert!(error.to_string().contains("wanted [488, 64]"), "{error}");
}

#[test]
fn an_archive_cut_anywhere_is_refused_without_panic() {
    for name in ["dream_embedding.bin", "clip_vision_embedding.bin"] {
        let whole = std::fs::read(golden_folder().join(name)).unwrap();
        let scratch = Scratch::with_golden_configs();
        let step = if whole.len() < 5000 { 3 } else { 997 };
        for cut in (0..whole.len()).step_by(step) {
            scratch.write(name, &whole[..cut]);
            let error = scratch.open().unwrap_err();
            assert!(matches!(error, CheckpointError::Format { .. }), "cut at {cut}: {error}");
        }
    }
}

#[test]
fn an_archive_with_any_byte_changed_never_panics() {
    let whole = std::fs::read(golden_folder().join("dream_embedding.bin")).unwrap();
    let scratch = Scratch::with_golden_configs();
    let mut refused = 0;
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] = [0x00, 0xff, whole[position] ^ 0x01][position % 3];
        scratch.write("dream_embedding.bin", &bytes);
        match scratch.open() {
            Err(CheckpointError::Format { .. } | CheckpointError::Pickle { .. }) => refused += 1,
            // A change of a value or of padding: the reader goes on to the next file.
            Err(CheckpointError::Missing { .. }) => {}
            other => panic!("byte {position}: {other:?}"),
        }
    }
    assert!(refused > whole.len() / 4, "only {refused} changes were refused");
}

#[test]
fn broken_zip_records_are_refused_with_a_reason() {
    let tensors = decoder_part(&raw_tensors(&golden()));
    let whole = write_archive("pytorch_model", &tensors[..2]);
    let end = whole.len() - 22;
    let directory = u32::from_le_bytes(whole[end + 16..end + 20].try_into().unwrap()) as usize;
    let change = |position: usize, value: &[u8]| {
        let mut bytes = whole.clone();
        bytes[position..position + value.len()].copy_from_slice(value);
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "too short"),
        ("zeros", vec![0; 4096], "no end record"),
        ("old torch file", [&[0x80, 2][..], &[0; 64]].concat(), "only zip archives are read"),
        ("more entries", change(end + 10, &[6, 0]), "no directory entry here"),
        ("many entries", change(end + 10, &[0, 99]), "do not fit"),
        ("fewer entries", change(end + 10, &[1, 0]), "longer than its entries"),
        ("directory beyond", change(end + 16, &[0xff, 0xff, 0xff, 0x7f]), "outside the file"),
        ("directory moved", change(end + 16, &[1, 0, 0, 0]), "no directory entry here"),
        ("compressed", change(directory + 10, &[8, 0]), "is compressed"),
        ("encrypted", change(directory + 8, &[1, 0]), "is encrypted"),
        ("sizes differ", change(directory + 24, &[1, 0, 0, 0]), "differs from size"),
        ("long name", change(directory + 28, &[0xff, 0xff]), "leaves the directory"),
        ("local header elsewhere", change(directory + 42, &[3, 0, 0, 0]), "no local header here"),
        ("zip64 size not given", change(directory + 20, &[0xff; 8]), "announced but not given"),
        ("big-endian", write_torch_big_endian(), "not little-endian"),
        ("not torch", write_zip(&[("a".to_owned(), vec![1])]), "no data.pkl"),
        (
            "two pickles",
            write_zip(&[("a/data.pkl".to_owned(), vec![]), ("b/data.pkl".to_owned(), vec![])]),
            "more than one data.pkl",
        ),
        (
            "listed twice",
            write_zip(&[("a".to_owned(), vec![]), ("a".to_owned(), vec![])]),
            "listed twice",
        ),
    ];
    for (what, bytes, wanted) in cases {
        match open_with(&bytes) {
            CheckpointError::Format { reason, .. } => {
                assert!(reason.contains(wanted), "{what}: {reason}");
            }
            other => panic!("{what}: wanted a format error, got {other}"),
        }
    }
}

fn write_torch_big_endian() -> Vec<u8> {
    write_zip(&[
        ("x/data.pkl".to_owned(), b"\x80\x02}.".to_vec()),
        ("x/byteorder".to_owned(), b"big".to_vec()),
    ])
}

#[test]
fn a_negative_length_is_refused() {
    let negative = |body: Vec<u8>| {
        let (opcode, _, reason) = pickle_refusal(&[&b"\x80\x02"[..], &body].concat());
        assert_eq!(opcode, "BINPERSID 'Q'");
        reason
    };
    let id = [
        &b"("[..],
        &text("storage"),
        &global("torch", "FloatStorage"),
        &text("0"),
        &text("cpu"),
        b"J\xff\xff\xff\xfftQ",
    ];
    assert!(negative(id.concat()).contains("is -1, a length cannot be negative"));
    let id = [
        &b"("[..],
        &text("module"),
        &global("torch", "FloatStorage"),
        &text("0"),
        &text("cpu"),
        &int(1),
        b"tQ",
    ];
    assert!(negative(id.concat()).contains("not \"storage\""));
}
