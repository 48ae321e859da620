//! A shell script as the simple commands in it, as far as their words can be read without running it.
//!
//! Guarantees that quoted text, comments and the bodies of here-documents are no commands. Expands nothing: a word that
//! a variable or a pattern makes is read as it is written.

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Its program and arguments, without assignments, keywords and words like `sudo` before it.
    pub(super) words: Vec<String>,
    /// The files that its output is redirected to.
    pub(super) writes: Vec<String>,
}

impl Command {
    /// The program's name without its directory; empty where there is only an assignment or a keyword.
    pub(super) fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or(word))
    }

    /// The words after the program.
    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Whether one of the arguments is `flag`.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.arguments().iter().any(|word| word == flag)
    }

    /// Whether one of the arguments is the short flag `letter`, alone or in a cluster such as `-Ei.bak`.
    pub(super) fn has_short(&self, letter: char) -> bool {
        let is_it = |word: &String| {
            let cluster = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            cluster.is_some_and(|cluster| {
                cluster.chars().take_while(char::is_ascii_alphabetic).any(|found| found == letter)
            })
        };
        self.arguments().iter().any(is_it)
    }

    /// What `git` is to do and with what, without the options before it.
    pub(super) fn git_arguments(&self) -> &[String] {
        const WITH_VALUE: [&str; 4] = ["-C", "-c", "--git-dir", "--work-tree"];
        let mut words = self.arguments();
        loop {
            words = match words {
                [flag, _, rest @ ..] if WITH_VALUE.contains(&flag.as_str()) => rest,
                [flag, rest @ ..] if flag.starts_with('-') => rest,
                words => return words,
            };
        }
    }

    /// The arguments that are no flags.
    pub(super) fn operands(&self) -> impl Iterator<Item = &str> {
        self.arguments().iter().map(String::as_str).filter(|word| !word.starts_with('-'))
    }
}

/// The simple commands of a script, in their order, those of substitutions included.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut reader = Reader {
        rest: script.chars().peekable(),
        found: Vec::new(),
        command: Command::default(),
        word: None,
        next: Next::Word,
        quoted: false,
        outer: Vec::new(),
        documents: Vec::new(),
    };
    reader.read();
    reader.found
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    found: Vec<Command>,
    command: Command,
    word: Option<String>,
    /// What the next word is.
    next: Next,
    /// Whether the text is inside double quotes, here and around each open substitution.
    quoted: bool,
    outer: Vec<bool>,
    /// The words that end here-documents which begin on the next line.
    documents: Vec<String>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Next {
    #[default]
    Word,
    Target,
    Input,
    DocumentEnd,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(letter) = self.rest.next() {
            match letter {
                '\\' => match self.rest.next() {
                    // A backslash joins two lines.
                    None | Some('\n') => {}
                    escaped => self.add(escaped),
                },
                '\'' if !self.quoted => self.single_quoted(),
                '"' => {
                    self.quoted = !self.quoted;
                    self.add(None);
                }
                '$' if self.rest.peek() == Some(&'(') => {
                    self.rest.next();
                    self.end_command();
                    self.outer.push(std::mem::take(&mut self.quoted));
                }
                ')' if !self.quoted => {
                    self.end_command();
                    self.quoted = self.outer.pop().unwrap_or(false);
                }
                '`' => self.end_command(),
                letter if self.quoted => self.add(Some(letter)),
                '#' if self.word.is_none() => self.comment(),
                '>' | '<' => self.redirection(letter),
                '\n' => {
                    self.end_command();
                    self.skip_documents();
                }
                ';' | '|' | '&' | '(' => self.end_command(),
                letter if letter.is_whitespace() => self.end_word(),
                letter => self.add(Some(letter)),
            }
        }
        self.end_command();
    }

    /// Adds a letter to the word, or only begins it: `''` is a word, too.
    fn add(&mut self, letter: Option<char>) {
        self.word.get_or_insert_default().extend(letter);
    }

    fn single_quoted(&mut self) {
        self.add(None);
        while let Some(letter) = self.rest.next_if(|letter| *letter != '\'') {
            self.add(Some(letter));
        }
        self.rest.next();
    }

    fn comment(&mut self) {
        while self.rest.next_if(|letter| *letter != '\n').is_some() {}
    }

    fn redirection(&mut self, sign: char) {
        // The number of a descriptor is no word: `2>&1`.
        if self.word.as_ref().is_some_and(|word| word.chars().all(|letter| letter.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        let mut signs = 1;
        while self.rest.next_if_eq(&sign).is_some() {
            signs += 1;
        }
        if self.rest.next_if_eq(&'&').is_some() {
            while self.rest.next_if(|letter| letter.is_ascii_digit() || *letter == '-').is_some() {}
            return;
        }
        self.rest.next_if(|letter| matches!(letter, '-' | '|') && (sign == '<' || *letter == '|'));
        self.next = match (sign, signs) {
            ('>', _) => Next::Target,
            (_, 2) => Next::DocumentEnd,
            _ => Next::Input,
        };
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match std::mem::take(&mut self.next) {
            Next::Word => self.command.words.push(word),
            Next::Target if word == "/dev/null" => {}
            Next::Target => self.command.writes.push(word),
            Next::Input => {}
            Next::DocumentEnd => self.documents.push(word),
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let mut command = std::mem::take(&mut self.command);
        let words = plain(&command.words);
        command.words = words.to_vec();
        if !command.words.is_empty() || !command.writes.is_empty() {
            self.found.push(command);
        }
    }

    fn skip_documents(&mut self) {
        for end in std::mem::take(&mut self.documents) {
            loop {
                let mut line = String::new();
                while let Some(letter) = self.rest.next_if(|letter| *letter != '\n') {
                    line.push(letter);
                }
                let is_over = self.rest.next().is_none();
                if is_over || line.trim_start_matches('\t') == end {
                    break;
                }
            }
        }
    }
}

/// Words that another command follows.
const BEFORE: [&str; 13] =
    ["do", "then", "else", "elif", "if", "while", "until", "!", "{", "sudo", "time", "nohup", "command"];

/// A command without what stands before its program.
fn plain(words: &[String]) -> &[String] {
    let mut words = words;
    loop {
        words = match words {
            [first, rest @ ..] if BEFORE.contains(&first.as_str()) || is_assignment(first) => rest,
            [first, rest @ ..] if first == "env" && rest.first().is_some_and(|word| is_assignment(word)) => {
                rest
            }
            [first, _, rest @ ..] if first == "timeout" && !rest.is_empty() => rest,
            words => return words,
        };
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<String> {
        commands(script).iter().map(|command| command.words.join(" ")).collect()
    }

    #[test]
    fn a_script_is_its_simple_commands() {
        let script = "cd /a && FOO=1 sudo ls -la 'x y' | grep \"a;b\" # list; it\ncat \\\n b; for f in c; do rm $f; done";
        let found = ["cd /a", "ls -la x y", "grep a;b", "cat b", "for f in c", "rm $f", "done"];
        assert_eq!(words(script), found);
    }

    #[test]
    fn substitutions_are_commands_and_documents_are_not() {
        assert_eq!(words("echo \"$(git show x) b\""), ["echo ", "git show x", " b"]);
        assert_eq!(words("cat <<'EOF' > a.py\nrm -rf /\nEOF\nls"), ["cat", "ls"]);
        assert_eq!(commands("cat <<'EOF' > a.py\nrm\nEOF\n")[0].writes, ["a.py"]);
    }

    #[test]
    fn only_files_are_written_to() {
        let writes = |script: &str| commands(script)[0].writes.clone();
        assert_eq!(writes("make 2>&1 >/dev/null"), Vec::<String>::new());
        assert_eq!(writes("make 2>log >>out < in"), ["log", "out"]);
        assert_eq!(writes("timeout 5 make >| out"), ["out"]);
        assert_eq!(words("timeout 5 make 2>/dev/null"), ["make"]);
    }
}
