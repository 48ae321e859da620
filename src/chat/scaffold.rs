//! Scaffolds: what surrounds a student, as data (`apprentice.scaffold/1`). What it is told, what it is shown, which tools
//! it has and how it calls them, how much it sees and does.
//!
//! Four are embedded, others are files. Guarantees that a rollout and a training of the same scaffold render the same
//! bytes, because both have nothing but this and [`conversation`](super::conversation).

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::template::Template;
use super::{Context, MathScaffold, clip_middle};
use crate::task::nearest_key;

/// Name and version in the first field of every scaffold file.
const FORMAT: &str = "apprentice.scaffold/1";

/// The embedded scaffolds, the default first.
const EMBEDDED: [(&str, &str); 4] = [
    ("bash", include_str!("scaffolds/bash.yaml")),
    ("editor", include_str!("scaffolds/editor.yaml")),
    ("oracle-edit", include_str!("scaffolds/oracle-edit.yaml")),
    ("localize-edit", include_str!("scaffolds/localize-edit.yaml")),
];

/// Characters of files or of their list in an opening, where a scaffold does not say it.
const SHOWN_CHARS: usize = 240_000;

/// What surrounds a student.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scaffold {
    /// The name of an embedded one, or the file that the others of these values come from.
    #[serde(rename = "scaffold")]
    pub name: String,
    /// The system message (code).
    pub system: String,
    /// The system message where the student makes tool calls.
    pub tool_calls: Option<String>,
    /// The first message to the student.
    pub opening: Template,
    /// What a step gave back, in the message after it.
    pub observation: Template,
    /// What the student can do.
    pub tools: Vec<Tool>,
    /// How it says what it does.
    pub dialect: Dialect,
    /// How much of the trajectory the student sees.
    pub context: Context,
    /// Characters kept of one observation: the first and the last half.
    pub observation_chars: usize,
    /// Characters kept of what the opening shows, likewise.
    pub shown_chars: usize,
    /// What an episode may use up, where that is less than it may anyway.
    pub limits: Limits,
    /// The same for mathematics, which recipes say by itself.
    #[serde(skip)]
    pub math: MathScaffold,
}

/// Something that a student can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Run a shell command.
    Bash,
    /// Look at files and edit them.
    StrReplaceEditor,
    /// Have files shown whole.
    NameFiles,
    /// Edit files by SEARCH/REPLACE blocks. Where there is no `submit`, an edit that applies is the end.
    SearchReplace,
    /// Say that the work is done.
    Submit,
}

/// How a reply says its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// As the bare text of the action.
    #[default]
    Text,
    /// As one `<tool_call>` of JSON with `name` and `arguments`, as many chat models are trained to.
    ToolCalls,
}

/// What an episode may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Actions.
    pub steps: Option<usize>,
    /// Seconds of its commands together.
    pub seconds: Option<u64>,
    /// Tokens of its replies together.
    pub tokens: Option<u64>,
}

/// What a scaffold shows beside the problem, which it takes a look at the repository to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Nothing.
    Nothing,
    /// The files that the task's own solution touches.
    GoldFiles,
    /// The list of all files.
    Structure,
}

/// Why there is no such scaffold.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// It is neither the name of an embedded one nor a file that can be read.
    #[error(
        "`{name}` is neither a scaffold (bash, editor, oracle-edit, localize-edit) nor a file that can be read"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// Why the file cannot be read.
        #[source]
        source: std::io::Error,
    },
    /// The file is no scaffold.
    #[error("`{origin}`: {what}")]
    Invalid {
        /// The file.
        origin: String,
        /// Line, key and what is wrong.
        what: String,
    },
}

impl Scaffold {
    /// The embedded scaffold of a name, else that of a file.
    ///
    /// # Errors
    /// When there is none, or the file is no scaffold.
    pub fn load(name: &str) -> Result<Self, ScaffoldError> {
        if let Some((_, yaml)) = EMBEDDED.iter().find(|(embedded, _)| *embedded == name) {
            return Self::parse(yaml, name);
        }
        let yaml = fs_err::read_to_string(Path::new(name))
            .map_err(|source| ScaffoldError::Unknown { name: name.to_owned(), source })?;
        Ok(Self { name: name.to_owned(), ..Self::parse(&yaml, name)? })
    }

    /// Reads a scaffold; `origin` is its file's name, for errors.
    ///
    /// # Errors
    /// When the text is no scaffold; names the key and the nearest known one.
    pub fn parse(yaml: &str, origin: &str) -> Result<Self, ScaffoldError> {
        let invalid = |what: String| ScaffoldError::Invalid { origin: origin.to_owned(), what };
        let file: File =
            serde_yaml_ng::from_str(yaml).map_err(|error| invalid(nearest_key(&error.to_string())))?;
        let scaffold = file.scaffold().map_err(invalid)?;
        scaffold.fault().map_or(Ok(scaffold), |what| Err(invalid(what)))
    }

    /// The names of the embedded ones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// What makes it unusable.
    pub fn fault(&self) -> Option<String> {
        let acts = self.tools.iter().any(|tool| *tool != Tool::Submit);
        if !acts {
            return Some(
                "tools: name one that acts: bash, str_replace_editor, name_files, search_replace".into(),
            );
        }
        if self.dialect == Dialect::ToolCalls && self.tool_calls.is_none() {
            return Some("tool_calls: it does not say what a student is told that makes tool calls".into());
        }
        let (opening, observation) = (["problem", "files", "structure"], ["output"]);
        let fault = |key: &str, template: &Template, known: &[&str], needed: &str| {
            let fault = template.fault(known, needed)?;
            Some(format!("templates.{key}: {fault}"))
        };
        fault("opening", &self.opening, &opening, "problem")
            .or_else(|| fault("observation", &self.observation, &observation, "output"))
    }

    /// What it shows beside the problem.
    pub fn shows(&self) -> Shows {
        if self.opening.has("files") {
            Shows::GoldFiles
        } else if self.opening.has("structure") {
            Shows::Structure
        } else {
            Shows::Nothing
        }
    }

    /// Whether a student can use this tool.
    pub fn has(&self, tool: Tool) -> bool {
        self.tools.contains(&tool)
    }

    /// The system message.
    pub fn told(&self) -> &str {
        match (self.dialect, &self.tool_calls) {
            (Dialect::ToolCalls, Some(told)) => told,
            _ => &self.system,
        }
    }

    /// The first message to the student on a problem, beside which `shown` is shown.
    pub fn opened(&self, problem: &str, shown: &str) -> String {
        let shown: Cow<'_, str> = clip_middle(shown.trim_end(), self.shown_chars).into();
        let problem = problem.trim_end().into();
        self.opening.filled(&[("problem", problem), ("files", shown.clone()), ("structure", shown)])
    }
}

impl Default for Scaffold {
    fn default() -> Self {
        static BASH: LazyLock<Scaffold> = LazyLock::new(|| {
            Scaffold::load("bash").expect("invariant: the embedded scaffolds are read by a test")
        });
        BASH.clone()
    }
}

/// A scaffold as its file says it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    name: String,
    system: String,
    #[serde(default)]
    tool_calls: Option<String>,
    templates: Templates,
    tools: Vec<Tool>,
    #[serde(default)]
    dialect: Dialect,
    limits: FileLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Templates {
    opening: Template,
    observation: Template,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    #[serde(default)]
    steps: Option<usize>,
    #[serde(default)]
    seconds: Option<u64>,
    #[serde(default)]
    tokens: Option<u64>,
    observation_chars: usize,
    #[serde(default)]
    shown_chars: Option<usize>,
}

impl File {
    fn scaffold(self) -> Result<Scaffold, String> {
        if self.format != FORMAT {
            return Err(format!("format: `{}` is not known; write `{FORMAT}`", self.format));
        }
        let FileLimits { steps, seconds, tokens, observation_chars, shown_chars } = self.limits;
        Ok(Scaffold {
            name: self.name,
            system: self.system,
            tool_calls: self.tool_calls,
            opening: self.templates.opening,
            observation: self.templates.observation,
            tools: self.tools,
            dialect: self.dialect,
            context: Context::Full,
            observation_chars,
            shown_chars: shown_chars.unwrap_or(SHOWN_CHARS),
            limits: Limits { steps, seconds, tokens },
            math: MathScaffold::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_scaffolds_are_read_and_have_their_names() {
        for name in Scaffold::names() {
            let scaffold = Scaffold::load(name).unwrap();
            assert_eq!((scaffold.name.as_str(), scaffold.math), (name, MathScaffold::default()));
        }
    }

    #[test]
    fn the_default_says_what_it_always_said() {
        let told = "You repair a code repository, one shell command at a time. \
            Think first inside <think>…</think>, then write exactly one command and nothing else. \
            When the work is done, the command is: submit";
        let scaffold = Scaffold::default();
        assert_eq!((scaffold.told(), scaffold.observation_chars), (told, 10_000));
        assert_eq!(scaffold.opened("It fails.\n", ""), "It fails.");
    }

    #[test]
    fn what_a_file_gets_wrong_is_said_with_its_key() {
        let yaml = EMBEDDED[0].1;
        for (from, to, said) in [
            ("system:", "sistem:", "unknown field `sistem`"),
            ("system:", "sistem:", "did you mean `system`?"),
            ("observation_chars:", "observation_char:", "did you mean `observation_chars`?"),
            ("scaffold/1", "scaffold/2", "format: `apprentice.scaffold/2` is not known"),
            ("[bash, submit]", "[bash, sumbit]", "did you mean `submit`?"),
            ("[bash, submit]", "[submit]", "tools: name one that acts"),
            (
                "{problem}",
                "{porblem}",
                "templates.opening: `{porblem}` is not known; did you mean `{problem}`?",
            ),
            ("{output}", "nothing", "templates.observation: `{output}` is missing"),
            ("tool_calls:", "dialect: tool_calls\nsystem_of_others:", "unknown field `system_of_others`"),
        ] {
            let error = Scaffold::parse(&yaml.replace(from, to), "s.yaml").unwrap_err().to_string();
            assert!(error.starts_with("`s.yaml`: ") && error.contains(said), "{said}: {error}");
        }
        let error = Scaffold::load("bsah").unwrap_err().to_string();
        assert!(error.starts_with("`bsah` is neither a scaffold (bash, "), "{error}");
    }
}
