//! Reading what a command saved, without bash.
//!
//! Guarantees that what it gives is what bash would restore; for anything unusual it gives nothing, and bash
//! is asked.

/// The directory and the exported variables of a saved state.
pub(super) fn read(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let (first, mut rest) = text.split_once('\n')?;
    let directory = first.strip_prefix("builtin cd -- ")?.strip_suffix(" 2>/dev/null")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:,@%+-=".contains(&byte);
    if !directory.starts_with('/') || !directory.bytes().all(is_plain) {
        return None;
    }
    let mut variables = Vec::new();
    while let Some(declaration) = rest.strip_prefix("declare -x ") {
        let end = declaration.find(['=', '\n'])?;
        let (name, after) = declaration.split_at(end);
        rest = match after.strip_prefix("=\"") {
            Some(quoted) => {
                let (value, after) = unquoted(quoted)?;
                variables.push((name.to_owned(), value));
                after.strip_prefix('\n')?
            }
            // Exported, but without a value.
            None => after.strip_prefix('\n')?,
        };
    }
    let has_no_functions = rest == format!("{WHOLE_DIRECTORY}\n{}", super::END);
    has_no_functions.then(|| (directory.to_owned(), variables))
}

/// What comes after the variables.
pub(super) const WHOLE_DIRECTORY: &str = "[[ . -ef $PWD ]] || builtin cd -P .";

/// A value up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                escaped @ ('"' | '$' | '`' | '\\') => value.push(escaped),
                _ => return None,
            },
            '$' | '`' => return None,
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn saved(value: &str, rest: &str) -> String {
        let script = format!(
            "builtin printf \"builtin cd -- %q 2>/dev/null\\n\" \"$PWD\"; export -p; \
             builtin printf '%s\\n' '{WHOLE_DIRECTORY}'; {rest} declare -f; builtin printf '# whole\\n'"
        );
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).env_clear().env("VALUE", value).current_dir("/usr/bin");
        String::from_utf8(bash.output().unwrap().stdout).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_value_comes_back_or_bash_is_asked(value in "[ -~\n\t\u{e9}\"$`\\\\]{0,30}") {
            if let Some((directory, variables)) = read(&saved(&value, "")) {
                prop_assert_eq!(directory, "/usr/bin");
                let found = variables.into_iter().find(|(name, _)| name == "VALUE");
                prop_assert_eq!(found.map(|(_, value)| value), Some(value));
            }
        }
    }

    #[test]
    fn usual_values_need_no_bash() {
        for value in ["", "a b", "x=\"1\"", "$HOME `id` \\"] {
            assert!(read(&saved(value, "")).is_some(), "{value:?}: {}", saved(value, ""));
        }
    }

    #[test]
    fn a_state_with_functions_is_for_bash() {
        assert_eq!(read(&saved("x", "f() { echo; };")), None);
    }
}
