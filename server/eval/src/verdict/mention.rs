//! Whether words come up in a text: whole words, whatever their case. Knows no world.

/// Whether one of `phrases` comes up.
pub(super) fn any(text: &str, phrases: &[String]) -> bool {
    let text = words(text);
    phrases.iter().any(|phrase| contains(&text, &words(phrase)))
}

/// Whether all of `phrases` come up.
pub(super) fn all(text: &str, phrases: &[String]) -> bool {
    let text = words(text);
    phrases.iter().all(|phrase| contains(&text, &words(phrase)))
}

fn contains(text: &[String], phrase: &[String]) -> bool {
    !phrase.is_empty() && text.windows(phrase.len()).any(|window| window == phrase)
}

/// Runs of letters, digits and apostrophes, in lower case.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .replace('’', "'")
        .split(|symbol: char| !symbol.is_alphanumeric() && symbol != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_and_phrases_of_them_are_found() {
        let phrases = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert!(any("No, there isn’t.", &phrases(&["yes", "isn't"])));
        assert!(!any("Nothing is known.", &phrases(&["no", "not"])), "only whole words");
        assert!(any("At the Top Left!", &phrases(&["top left"])));
        assert!(!any("the left one at the top", &phrases(&["top left"])));
        assert!(all("a red star", &phrases(&["star", "red"])));
        assert!(!all("a red star", &phrases(&["star", "blue"])));
        assert!(!any("anything", &phrases(&[""])), "an empty phrase is never there");
    }
}
