//! Words in colour: marked while a text is made, so that tables line up, and coloured when it is written.

use std::borrow::Cow;

/// What a colour says of a word. The word says it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something is on its way, or wants to be looked at.
    Attention,
    /// Something is wrong.
    Wrong,
}

/// Begins a word of each tone, then ends one. Unicode reserves them and gives them no width, so no text of anybody's has them.
const MARKS: [(char, &str); 4] =
    [('\u{fff1}', "\x1b[32m"), ('\u{fff2}', "\x1b[33m"), ('\u{fff3}', "\x1b[31m"), (END, "\x1b[0m")];
const END: char = '\u{fff4}';

/// A word in the colour of its tone, wherever it is written that has colours.
pub fn toned(word: &str, tone: Tone) -> String {
    let (begin, _) = MARKS[tone as usize];
    format!("{begin}{word}{END}")
}

/// The text without its marks, as it is written where there are no colours.
pub fn plain(text: &str) -> Cow<'_, str> {
    colored(text, false)
}

/// The text with its colours, or without.
pub(super) fn colored(text: &str, has_colors: bool) -> Cow<'_, str> {
    let code = |of: char| MARKS.iter().find(|(mark, _)| *mark == of).map(|(_, code)| *code);
    if !text.contains(|of| code(of).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut colored = String::with_capacity(text.len());
    for of in text.chars() {
        match code(of) {
            None => colored.push(of),
            Some(code) if has_colors => colored.push_str(code),
            Some(_) => {}
        }
    }
    Cow::Owned(colored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_its_colour_where_there_are_colours_and_is_itself_elsewhere() {
        let text = format!("users {}, {}", toned("behind", Tone::Attention), toned("paused", Tone::Wrong));
        assert_eq!(colored(&text, true), "users \x1b[33mbehind\x1b[0m, \x1b[31mpaused\x1b[0m");
        assert_eq!(colored(&text, false), "users behind, paused");
        assert!(matches!(colored("in step", true), Cow::Borrowed("in step")));
    }
}
