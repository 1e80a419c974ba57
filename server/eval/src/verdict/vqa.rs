//! Soft accuracy of VQAv2 (Goyal et al. 2017): an answer that three of ten people gave is right. Follows the
//! published evaluation, with one difference: where that has a list of contractions (`dont` is `don't`), here
//! apostrophes do not count.

/// Right after so many people.
const ENOUGH: f64 = 3.0;

/// Mean over each person of how far the others agree with the answer, 0 to 1; 0 without anybody.
pub fn soft_accuracy(answer: &str, people: &[String]) -> f64 {
    let answer = normal(answer);
    let agrees: Vec<bool> = people.iter().map(|person| normal(person) == answer).collect();
    let all = agrees.iter().filter(|agrees| **agrees).count();
    let without = |one: &bool| ((all - usize::from(*one)) as f64 / ENOUGH).min(1.0);
    agrees.iter().map(without).sum::<f64>() / (agrees.len().max(1) as f64)
}

/// Lower case, digits for number words, no articles, no punctuation.
fn normal(text: &str) -> String {
    let text = without_punctuation(text.trim()).to_lowercase();
    let words = text.split_whitespace().map(digit);
    words.filter(|word| !["a", "an", "the"].contains(word)).collect::<Vec<_>>().join(" ")
}

fn digit(word: &str) -> &str {
    match word {
        "none" | "zero" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        other => other,
    }
}

/// A mark beside a space vanishes everywhere, another becomes a space; all vanish where a comma stands between
/// digits. A full stop goes unless a digit follows.
fn without_punctuation(text: &str) -> String {
    let symbols: Vec<char> = text.chars().filter(|symbol| !['\'', '’'].contains(symbol)).collect();
    let has_thousands = symbols
        .windows(3)
        .any(|three| three[1] == ',' && three[0].is_ascii_digit() && three[2].is_ascii_digit());
    let beside_space = |mark: char| {
        symbols.windows(2).any(|two| two == [mark, ' '].as_slice() || two == [' ', mark].as_slice())
    };
    let mut result = String::new();
    for (place, &symbol) in symbols.iter().enumerate() {
        match symbol {
            '.' if symbols.get(place + 1).is_none_or(|next| !next.is_ascii_digit()) => {}
            ';' | '/' | '[' | ']' | '"' | '{' | '}' | '(' | ')' | '=' | '+' | '\\' | '_' | '-'
            | '>' | '<' | '@' | '`' | ',' | '?' | '!' => {
                if !has_thousands && !beside_space(symbol) {
                    result.push(' ');
                }
            }
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten(yes: usize) -> Vec<String> {
        (0..10).map(|one| if one < yes { "Yes" } else { "no" }.to_owned()).collect()
    }

    #[test]
    fn agreement_counts_by_thirds_leaving_each_person_out() {
        let accuracy = |agreeing| soft_accuracy("yes", &ten(agreeing));
        assert_eq!(accuracy(0), 0.0);
        assert!((accuracy(1) - 0.3).abs() < 1e-9);
        assert!((accuracy(2) - 0.6).abs() < 1e-9);
        assert!((accuracy(3) - 0.9).abs() < 1e-9);
        assert_eq!(accuracy(4), 1.0);
        assert_eq!(soft_accuracy("yes", &[]), 0.0);
    }

    #[test]
    fn what_people_write_differently_is_the_same() {
        for (a, b) in [
            ("Two.", "2"),
            ("the red car", "red car"),
            ("don't know", "dont know"),
            ("black-white", "black white"),
            ("red, white", "red white"),
            ("1,000", "1000"),
            ("3.5", "3.5"),
            ("  none\t", "0"),
        ] {
            assert_eq!(normal(a), normal(b));
        }
        assert_ne!(normal("3.5"), normal("35"));
    }
}
