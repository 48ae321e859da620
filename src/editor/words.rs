//! Shell words: splits a command line as a shell would, quotes undone.
//!
//! Does not expand variables, patterns or commands: a line that needs a shell is refused.

/// Splits `line` into words; absent when a quote stays open or the line needs a shell
/// (operators, expansions).
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next()? {
                '\n' => {}
                c => word.get_or_insert_default().push(c),
            },
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

fn double_quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, word: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '$' | '`' => return None,
            '\\' => match chars.next()? {
                '\n' => {}
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_are_undone_as_a_shell_does() {
        let check = |line: &str, words: &[&str]| assert_eq!(split(line).unwrap(), words, "{line}");
        check("open \"src/a b.py\"  12", &["open", "src/a b.py", "12"]);
        check("edit 'a\n b' 'it'\"'\"'s'", &["edit", "a\n b", "it's"]);
        check(r#"x "a\"\n" \  ''"#, &["x", r#"a"\n"#, " ", ""]);
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for line in ["open 'a", "ls | wc", "a && b", "open $FILE", "open \"$FILE\""] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
