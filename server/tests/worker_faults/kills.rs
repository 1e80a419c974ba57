//! Kills from outside at whatever moment, one after the other, under load: nothing is lost or changed. As
//! many as `REVERIE_KILLS` says, else 25; each is a line of `REVERIE_KILLS_FILE`, if there is one, and those
//! that stand there already are not done again.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::asking::{Answered, ask_meanwhile, picture_story, undisturbed, worker_pids};
use crate::process::{Served, mini, signal};

const NUM_KILLS: usize = 25;
const NUM_CLIENTS: u64 = 4;
/// Whoever dies again and again is started again later and later; a new daemon knows nothing of that.
const KILLS_OF_A_DAEMON: usize = 10;
const DEVICES: [&str; 2] = ["cpu,cpu", "cpu:decode,cpu:denoise"];

/// A number for each kill, always the same.
fn dice(kill: usize, salt: u64) -> u64 {
    let mut value = (kill as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
    value = (value ^ (value >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ (value >> 29)
}

/// A daemon whose workers are killed.
struct Victim(Served);

impl Victim {
    fn start(devices: &str) -> Self {
        // On a slow machine places are long in coming; nobody is to be refused for that.
        let flags = ["--devices", devices, "--max-num-seqs", "2", "--max-wait", "600"];
        let mut served = Served::launch(&mini(), &flags, &[]);
        served.wait_until_ready();
        Self(served)
    }

    /// Waits for the death of a worker that is killed at some moment; how many requests it had, and how many
    /// of them were being drawn.
    fn kill_one(&self, kill: usize) -> (u64, u64) {
        std::thread::sleep(Duration::from_millis(30 + dice(kill, 1) % 900));
        let alive = loop {
            let pids = worker_pids(&self.0.lines());
            let alive: Vec<u32> = pids.into_iter().filter(|pid| signal("0", *pid)).collect();
            if !alive.is_empty() {
                break alive;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let at = (dice(kill, 2) % alive.len() as u64) as usize;
        assert!(signal("KILL", alive[at]), "a worker ends by itself");
        let line = self.0.wait_for("worker has ended");
        let count = |name: &str| line[name].as_u64().unwrap_or(0);
        (count("num_lost"), count("num_drawing"))
    }
}

fn done_already(file: Option<&String>) -> usize {
    let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines().count()
}

#[test]
fn kills_at_any_moment_lose_and_change_nothing() {
    let variable = |name: &str| std::env::var(name).ok();
    let num_kills = variable("REVERIE_KILLS").and_then(|n| n.parse().ok()).unwrap_or(NUM_KILLS);
    let file = variable("REVERIE_KILLS_FILE");
    let requests: Vec<Value> = (0..NUM_CLIENTS).map(|seed| picture_story(100 + seed)).collect();
    let wanted = undisturbed(&requests);
    let mut victim: Option<(usize, Victim)> = None;
    for kill in done_already(file.as_ref())..num_kills {
        let roles = kill * DEVICES.len() / num_kills.max(1);
        let life = roles + kill / KILLS_OF_A_DAEMON * DEVICES.len();
        if victim.as_ref().is_none_or(|(of, _)| *of != life) {
            victim = Some((life, Victim::start(DEVICES[roles])));
        }
        let Some((_, victim)) = &victim else { continue };
        let address = victim.0.address.clone();
        let asked: Vec<_> =
            requests.iter().map(|request| ask_meanwhile(&address, request.clone())).collect();
        let (num_lost, num_drawing) = victim.kill_one(kill);
        let answers: Vec<Answered> =
            asked.into_iter().map(|asked| asked.join().expect("asks")).collect();
        assert_eq!(answers, wanted, "kill {kill} on {}", DEVICES[roles]);
        if let Some(file) = &file {
            let mut file =
                OpenOptions::new().create(true).append(true).open(file).expect("a file to write");
            writeln!(file, "{kill} {} lost={num_lost} drawing={num_drawing} same", DEVICES[roles])
                .expect("a line that is written");
        }
    }
}
