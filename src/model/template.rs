//! Chat templates: Hugging Face's Jinja, rendered so that conversations only grow at their end.
//!
//! Guarantees that an assistant's words reach the student as they were written: the template decides
//! what stands around them, never what they are (Qwen3's strips earlier thoughts, for one). A template
//! that rewrites earlier turns in another way is refused when it is read.

use minijinja::value::{Kwargs, Value, from_args};
use minijinja::{Environment, Error, ErrorKind, State, context};

use crate::chat::{Message, Role};

/// The template of models that bring none: Qwen's ChatML without a default system message.
pub(crate) const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' \
+ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Stands for an assistant's words while the template runs: private-use characters, so that no template trims them.
const MARK: char = '\u{f8f7}';

/// A chat template, compiled.
#[derive(Debug, Clone)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
}

impl ChatTemplate {
    /// Compiles a template.
    pub(crate) fn new(source: &str) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // What transformers sets.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.set_unknown_method_callback(python_method);
        environment.add_template_owned("chat", source.to_owned())?;
        Ok(Self { environment, source: source.to_owned() })
    }

    /// The template's text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// What stands around the assistant's words: the text before the first, between each two, and after the
    /// last, which ends where the next reply begins.
    pub(crate) fn frames(&self, messages: &[Message]) -> Result<Vec<String>, Error> {
        let mut replies = 0;
        let mut shown = Vec::with_capacity(messages.len());
        for message in messages {
            let (role, content) = match message.role {
                Role::System => ("system", message.content.clone()),
                Role::User => ("user", message.content.clone()),
                Role::Assistant => {
                    replies += 1;
                    ("assistant", mark(replies))
                }
            };
            shown.push(context! { role, content });
        }
        let template = self.environment.get_template("chat")?;
        let text = template.render(context! { messages => shown, add_generation_prompt => true })?;
        cut(&text, replies)
    }
}

fn mark(reply: usize) -> String {
    format!("{MARK}{reply}{MARK}")
}

fn cut(text: &str, replies: usize) -> Result<Vec<String>, Error> {
    let mut frames = Vec::with_capacity(replies + 1);
    let mut rest = text;
    for reply in 1..=replies {
        let (frame, after) = rest.split_once(&mark(reply)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOperation, "the template leaves out an assistant message")
        })?;
        frames.push(frame.to_owned());
        rest = after;
    }
    frames.push(rest.to_owned());
    Ok(frames)
}

/// The methods of Python's strings and dictionaries that published chat templates call.
fn python_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return string_method(text, method, args);
    }
    match method {
        "items" => state.apply_filter("items", &[value.clone()]),
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or_default() } else { found })
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let trimmed = |trim: fn(&str, &[char]) -> String, whitespace: fn(&str) -> &str| {
        let (set, _): (Option<String>, Kwargs) = from_args(args)?;
        Ok(Value::from(match set {
            Some(set) => trim(text, &set.chars().collect::<Vec<_>>()),
            None => whitespace(text).to_owned(),
        }))
    };
    match method {
        "strip" => trimmed(|text, set| text.trim_matches(set).to_owned(), str::trim),
        "lstrip" => trimmed(|text, set| text.trim_start_matches(set).to_owned(), str::trim_start),
        "rstrip" => trimmed(|text, set| text.trim_end_matches(set).to_owned(), str::trim_end),
        "startswith" => from_args(args).map(|(prefix,): (&str,)| Value::from(text.starts_with(prefix))),
        "endswith" => from_args(args).map(|(suffix,): (&str,)| Value::from(text.ends_with(suffix))),
        "split" => {
            from_args(args).map(|(separator,): (&str,)| text.split(separator).map(Value::from).collect())
        }
        "replace" => from_args(args).map(|(from, to): (&str, &str)| Value::from(text.replace(from, to))),
        "upper" => Ok(Value::from(text.to_uppercase())),
        "lower" => Ok(Value::from(text.to_lowercase())),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}
