//! How text becomes words: in small letters, without accents, cut at everything that is neither letter nor digit.

use std::collections::BTreeMap;

use crate::draft::Draft;

/// A longer word is cut: nobody types it to the end.
const WORD_LETTERS_MAX: usize = 40;
/// A product is found by so many of its words; 4000 characters of description have hardly more.
const WORDS_MAX: usize = 600;
/// Of a query more words than this are not looked at.
const QUERY_WORDS_MAX: usize = 8;
/// Every product has a word that begins with `s`: one letter is no beginning.
const BEGINNING_LETTERS_MIN: usize = 2;

/// Letters that are another letter with something at it, or two letters in one.
const FOLDED: [(&str, &str); 27] = [
    ("a", "àáâãäåāăą"),
    ("ae", "æ"),
    ("c", "çćĉċč"),
    ("d", "ďđð"),
    ("e", "èéêëēĕėęě"),
    ("g", "ĝğġģ"),
    ("h", "ĥħ"),
    ("i", "ìíîïĩīĭįı"),
    ("ij", "ĳ"),
    ("j", "ĵ"),
    ("k", "ķ"),
    ("l", "ĺļľŀł"),
    ("n", "ñńņňŋ"),
    ("o", "òóôõöøōŏő"),
    ("oe", "œ"),
    ("r", "ŕŗř"),
    ("s", "śŝşšșſ"),
    ("ss", "ß"),
    ("t", "ţťŧț"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűų"),
    ("w", "ŵẁẃẅ"),
    ("y", "ýÿŷ"),
    ("z", "źżž"),
    ("fi", "ﬁ"),
    ("fl", "ﬂ"),
    ("ff", "ﬀ"),
];

/// What is searched for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Query {
    /// Words that have to be there.
    pub(super) whole: Vec<String>,
    /// What a word that has to be there begins with: the one that is still being typed.
    pub(super) beginning: Option<String>,
}

impl Query {
    /// `None` if there is no word in it.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut whole = words(text);
        whole.truncate(QUERY_WORDS_MAX);
        // What is followed by a blank has been typed to the end.
        let is_open = !text.ends_with(char::is_whitespace);
        let is_long = |word: &mut String| is_open && word.chars().count() >= BEGINNING_LETTERS_MIN;
        let beginning = whole.pop_if(is_long);
        whole.sort_unstable();
        whole.dedup();
        (!whole.is_empty() || beginning.is_some()).then_some(Self { whole, beginning })
    }
}

/// The words a product is found by, and how much each says: one in the name more than one in the description.
pub(super) fn weighed(product: &Draft) -> BTreeMap<String, i64> {
    let fields =
        [(8, &product.name), (4, &product.tags.join(" ")), (3, &product.category), (1, &product.description)];
    let mut weighed = BTreeMap::new();
    for (weight, text) in fields {
        let mut once = words(text);
        once.sort_unstable();
        once.dedup();
        for word in once {
            if weighed.len() < WORDS_MAX || weighed.contains_key(&word) {
                *weighed.entry(word).or_insert(0) += weight;
            }
        }
    }
    weighed
}

/// The first seven bytes of a word as a number. Words that begin alike are numbers beside each other: the same in both
/// databases, which sort text as their locale likes, and where neither would use an index for `LIKE`.
pub(super) fn head(word: &str) -> i64 {
    first_bytes(word, 0)
}

/// The greatest [`head`] of a word that begins like this.
pub(super) fn head_end(beginning: &str) -> i64 {
    first_bytes(beginning, 255)
}

fn first_bytes(word: &str, rest: u8) -> i64 {
    let bytes = word.bytes().chain(std::iter::repeat(rest)).take(7);
    bytes.fold(0, |number, byte| number << 8 | i64::from(byte))
}

fn words(text: &str) -> Vec<String> {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            // An accent that stands by itself, and what is inside of a word: "chef's" is found as "chefs".
            '\u{300}'..='\u{36f}' | '\'' | '’' | '\u{ad}' => {}
            'a'..='z' | '0'..='9' => folded.push(letter),
            _ => match FOLDED.iter().find(|(_, letters)| letters.contains(letter)) {
                Some((plain, _)) => folded.push_str(plain),
                None if letter.is_alphanumeric() => folded.push(letter),
                None => folded.push(' '),
            },
        }
    }
    let cut = |word: &str| word.chars().take(WORD_LETTERS_MAX).collect();
    folded.split(' ').filter(|word| !word.is_empty()).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Query, head, head_end, words};

    #[test]
    fn words_are_small_plain_and_cut_at_what_is_no_letter() {
        for (text, cut) in [
            ("Chef's knife, 20 cm", "chefs knife 20 cm"),
            ("Crème BRÛLÉE", "creme brulee"),
            ("cre\u{300}me", "creme"),
            ("Straße, Œuvre, Łódź, İstanbul", "strasse oeuvre lodz istanbul"),
            ("Pour-over/dripper", "pour over dripper"),
            ("Δίσκος 茶", "δίσκος 茶"),
            (" ,.!\0% _", ""),
        ] {
            assert_eq!(words(text).join(" "), cut);
        }
        assert_eq!(words(&"a".repeat(100))[0].len(), 40);
    }

    #[test]
    fn only_the_last_word_is_a_beginning_and_only_if_it_may_go_on() {
        let query = |text| Query::of(text).map(|query| (query.whole.join(" "), query.beginning));
        assert_eq!(query("Cast ir"), Some(("cast".into(), Some("ir".into()))));
        assert_eq!(query("iron cast iron "), Some(("cast iron".into(), None)));
        assert_eq!(query("vitamin c"), Some(("c vitamin".into(), None)), "one letter is no beginning");
        assert_eq!(query("?!"), None);
        let many = Query::of("a b c d e f g h i j k").unwrap();
        assert_eq!(many.whole.len(), 8);
    }

    proptest! {
        #[test]
        fn a_word_is_between_the_heads_of_each_of_its_beginnings(word in "\\PC{1,12}", other in "\\PC{1,12}", letters in 1_usize..12) {
            let beginning: String = word.chars().take(letters).collect();
            let range = head(&beginning)..=head_end(&beginning);
            prop_assert!(range.contains(&head(&word)));
            if beginning.len() <= 7 && !other.starts_with(&beginning) && !other.contains('\0') {
                prop_assert!(!range.contains(&head(&other)) , "and nothing else is, as far as the number goes");
            }
        }
    }
}
