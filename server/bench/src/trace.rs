//! The requests of an open loop as a trace, so that another load generator sends the same at the same times. Sends
//! nothing.

use serde_json::{Value, json};

use crate::micros::Micros;
use crate::workload::Planned;

/// A line of JSON for each request, in the form of Mooncake's traces as aiperf replays them
/// (`--custom-dataset-type mooncake-trace`): when it is sent, milliseconds after the beginning, and its body,
/// verbatim.
pub fn mooncake_lines(requests: &[Planned], arrivals: &[Micros]) -> String {
    let line = |(planned, arrival): (&Planned, &Micros)| {
        let body: Value = serde_json::from_str(&planned.body).expect("a body is JSON");
        format!("{}\n", json!({"timestamp": arrival.millis(), "payload": body}))
    };
    requests.iter().zip(arrivals).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Kind;

    #[test]
    fn a_line_has_the_moment_and_the_body() {
        let body = r#"{"messages":[]}"#.to_owned();
        let planned = Planned { index: 0, kind: Kind::Text, body };
        let lines = mooncake_lines(&[planned], &[Micros(1_500)]);
        let found: Value = serde_json::from_str(lines.trim_end()).expect("one line");
        assert_eq!(found, json!({"timestamp": 1.5, "payload": {"messages": []}}));
    }
}
