//! What a run looks like as a table, as JSON, as a page, and against floors.

use reverie_eval::evaluation::{Fault, Outcome};
use reverie_eval::report::{Figures, Floors, RunNotes, page, picture_name, record, table};
use reverie_eval::suite::{Case, CaseLine, Content};
use reverie_eval::verdict::{Answer, AnswerPiece, DrawnPicture, judge};
use reverie_eval::world::{Scene, draw};
use serde_json::{Value, json};

fn scene() -> Value {
    json!({"background": "tan", "things": {"top left": {"shape": "star", "colour": "red", "size": "large"}}})
}

fn case(name: &str, task: &str, split: &str, expect: &Value) -> Case {
    let line = json!({
        "name": name, "task": task, "kind": "k", "split": split, "expect": expect,
        "content": [{"type": "text", "text": "a <b>bold</b> & \"quoted\" wish"}],
    });
    let line: CaseLine = serde_json::from_value(line).expect("a line");
    let content = vec![Content::Text("a <b>bold</b> & \"quoted\" wish".to_owned())];
    Case { expected: line.expect.clone().try_into().expect("an answer"), content, line }
}

fn cases() -> Vec<Case> {
    vec![
        case("one", "caption", "test", &json!({"answer": "yes"})),
        case("two", "caption", "test", &json!({"answer": "no"})),
        case("three", "caption", "held-out", &json!({"answer": "yes"})),
        case("four", "drawing", "test", &json!({"scene": scene()})),
        case("five", "drawing", "test", &json!({"scene": scene()})),
    ]
}

fn outcomes(cases: &[Case]) -> Vec<Outcome<'_>> {
    let wanted: Scene = serde_json::from_value(scene()).expect("a scene");
    let picture = DrawnPicture::new(b"<svg>".to_vec(), &draw(&wanted, [(0, 0); 4]));
    let said = || Answer { pieces: vec![AnswerPiece::Text("yes".to_owned())] };
    let drawn = Answer { pieces: vec![AnswerPiece::Picture(picture)] };
    let fault = Fault::Status { status: 500, message: "<script>alert(1)</script>".to_owned() };
    let answers = [Ok(said()), Ok(said()), Ok(said()), Ok(drawn), Err(fault)];
    cases
        .iter()
        .zip(answers)
        .map(|(case, answer)| {
            let verdict = match &answer {
                Ok(answer) => judge(&case.expected, answer),
                Err(_) => reverie_eval::verdict::Verdict::NONE,
            };
            Outcome { case, parameters: json!({"seed": 1}), answer, verdict }
        })
        .collect()
}

#[test]
fn the_table_counts_answers_that_never_came_as_wrong() {
    let cases = cases();
    let figures = Figures::of(&outcomes(&cases));
    let wanted = "\
| right, % | test | n | held-out | n |
| - | -: | -: | -: | -: |
| caption | 50.0 (9.5–90.5) | 2 | 100.0 (20.7–100.0) | 1 |
| drawing | 50.0 (9.5–90.5) | 2 | | |
| all tasks | 50.0 (15.0–85.0) | 4 | 100.0 (20.7–100.0) | 1 |
| pictures when and only when asked | 75.0 (30.1–95.4) | 4 | 100.0 (20.7–100.0) | 1 |

| attributes of single pictures, % | background | places | shape | colour | size | clean | all |
| - | -: | -: | -: | -: | -: | -: | -: |
| drawing (test) | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 | 100.0 |

1 requests got no answer and count as wrong.
";
    let found = table(&figures);
    let squeezed = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").replace("--", "").replace('-', "")
    };
    assert_eq!(squeezed(&found), squeezed(wanted), "{found}");
    let widths: Vec<usize> = found.lines().take(6).map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|two| two[0] == two[1]), "columns are straight:\n{found}");
}

fn notes() -> RunNotes {
    let suites = vec!["test".to_owned()];
    RunNotes { model: "m<1>".to_owned(), suites, seed: 7, version: "0".to_owned() }
}

#[test]
fn the_record_holds_every_case() {
    let cases = cases();
    let outcomes = outcomes(&cases);
    let record = record(&notes(), &Figures::of(&outcomes), &outcomes);
    assert_eq!(record["cases"].as_array().unwrap().len(), 5);
    assert_eq!(record["cases"][0]["case"]["name"], "one");
    assert_eq!(record["cases"][0]["answer"][0], json!({"type": "text", "text": "yes"}));
    assert_eq!(record["cases"][3]["answer"][0]["reading"]["scene"], scene());
    assert_eq!(record["cases"][3]["answer"][0]["sha256"].as_str().unwrap().len(), 64);
    assert!(record["cases"][4]["error"].as_str().unwrap().contains("status 500"));
    assert_eq!(record["tasks"][0]["kinds"]["k"]["n"], 2);
}

#[test]
fn nothing_that_was_said_becomes_markup_on_the_page() {
    let cases = cases();
    let outcomes = outcomes(&cases);
    let page = page(&notes(), &Figures::of(&outcomes), &outcomes);
    assert_eq!(page.matches("<article").count(), 5);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("m&lt;1&gt;"));
    assert!(page.contains("a &lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot; wish"));
    assert!(page.contains("large red star top left; tan; clean"), "what the reader saw");
}

#[test]
fn floors_are_missed_below_and_where_nothing_was_measured() {
    let cases = cases();
    let figures = Figures::of(&outcomes(&cases));
    let missed = |floors: Value| {
        let floors: Floors = serde_json::from_value(floors).unwrap();
        floors.missed(&figures).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let reached = json!({"test": {"right": {"caption": 0.5}, "all_tasks": 0.5, "pictures_as_asked": 0.75,
        "attributes": {"drawing": {"shape": 1.0}}}});
    assert_eq!(missed(reached), Vec::<String>::new());
    assert_eq!(
        missed(
            json!({"test": {"right": {"caption": 0.51, "chat": 0.1}}, "held-out": {"pictures_as_asked": 1.0}})
        ),
        ["test caption: 50.0 %, wanted 51.0 %", "test chat: not measured, wanted 10.0 %"]
    );
    assert!(serde_json::from_value::<Floors>(json!({"test": {"rigth": {}}})).is_err());
    let text = include_str!("../floors.json");
    assert!(serde_json::from_str::<Floors>(text).is_ok(), "the floors beside the suites");
}

#[test]
fn a_case_cannot_write_outside_its_folder() {
    assert_eq!(picture_name("../../a b", 0, b"\x89PNG\r\n\x1a\n"), ".._.._a_b-1.png");
    assert_eq!(picture_name("a", 1, b"?"), "a-2.bin");
}
