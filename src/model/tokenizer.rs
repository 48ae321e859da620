//! Text to tokens and back, conversations included.
//!
//! Guarantees that the prompt of step k, the tokens of its reply, and what follows are together the
//! prompt of step k+1, so the prefix tree shares them; and that a tokenizer trained here gives every
//! text back byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::error::ModelError;
use super::template::{CHATML, ChatTemplate};
use crate::chat::{Message, Role};

/// The end of a text.
const END_OF_TEXT: &str = "<|endoftext|>";
/// What parts a turn's role from nothing.
const TURN_START: &str = "<|im_start|>";
/// The end of a turn.
const TURN_END: &str = "<|im_end|>";
/// Tokens of their own that are part of what the student says.
const THOUGHT: [&str; 2] = ["<think>", "</think>"];

/// Qwen2's: contractions, words with what stands before them, single digits, punctuation, line ends, spaces.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Digits, with the colon that parts a line's number from its text; what stands between them, up to the line's end.
const LINES: &str = r"\p{N}:?|[^\p{N}\r\n]*[\r\n]+|[^\p{N}\r\n]+";

/// What no token of a trained tokenizer reaches across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pieces {
    /// Words, as Qwen2 has them: for any text.
    Words,
    /// Whole lines but for digits: a small student that sees the same lines again and again says each in few tokens.
    Lines,
}

impl Pieces {
    fn pattern(self) -> &'static str {
        match self {
            Self::Words => WORDS,
            Self::Lines => LINES,
        }
    }
}

/// A tokenizer with its chat template.
#[derive(Debug, Clone)]
pub struct ChatTokenizer {
    /// Reads special tokens in a text as what they are: for what the template writes.
    framing: Tokenizer,
    /// Reads them as characters: for what somebody said.
    content: Tokenizer,
    template: ChatTemplate,
    settings: Value,
    end: u32,
    end_text: String,
    pad: u32,
}

impl ChatTokenizer {
    /// Reads `tokenizer.json` and `tokenizer_config.json` (and `chat_template.jinja`) of a model directory.
    ///
    /// # Errors
    /// When a file is missing or unusable, or the chat template rewrites earlier turns.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let problem = |path: &Path, problem: String| ModelError::Tokenizer { path: path.to_owned(), problem };
        let tokenizer =
            Tokenizer::from_bytes(fs_err::read(&path)?).map_err(|e| problem(&path, e.to_string()))?;
        let config = dir.join("tokenizer_config.json");
        let settings = if config.is_file() { fs_err::read_to_string(&config)? } else { "{}".to_owned() };
        let settings: Value = serde_json::from_str(&settings).map_err(|e| problem(&config, e.to_string()))?;
        let template_file = dir.join("chat_template.jinja");
        let template = if template_file.is_file() {
            fs_err::read_to_string(&template_file)?
        } else {
            settings["chat_template"].as_str().unwrap_or(CHATML).to_owned()
        };
        Self::new(tokenizer, &template, settings).map_err(|e| problem(&config, e))
    }

    /// Trains a byte-level BPE tokenizer of at most `vocab_size` tokens; the same texts give the same tokenizer.
    ///
    /// # Errors
    /// When `vocab_size` has no room for the 256 bytes and the five special tokens.
    pub fn train(
        texts: impl Iterator<Item = String>,
        vocab_size: usize,
        pieces: Pieces,
    ) -> Result<Self, ModelError> {
        let problem = |problem: String| ModelError::Tokenizer { path: "(being trained)".into(), problem };
        let special = 3 + THOUGHT.len();
        if vocab_size < 256 + special {
            return Err(problem(format!(
                "{vocab_size} tokens are fewer than 256 bytes and {special} special ones"
            )));
        }
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size - special)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut tokenizer = untrained(pieces).map_err(|e| problem(e.to_string()))?;
        // One thread's order: the counts are the same in any, and this is quick.
        let texts: Vec<String> = texts.collect();
        tokenizer
            .train(&mut TrainerWrapper::BpeTrainer(trainer), texts.iter())
            .map_err(|e| problem(e.to_string()))?;
        let control = [END_OF_TEXT, TURN_START, TURN_END].map(|text| AddedToken::from(text, true));
        let thought = THOUGHT.map(|text| AddedToken::from(text, false).normalized(false));
        tokenizer.add_special_tokens(control).map_err(|e| problem(e.to_string()))?;
        tokenizer.add_tokens(thought).map_err(|e| problem(e.to_string()))?;
        let settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": null,
            "eos_token": TURN_END,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": false,
            "model_max_length": 32_768,
        });
        Self::new(tokenizer, CHATML, settings).map_err(problem)
    }

    fn new(framing: Tokenizer, template: &str, mut settings: Value) -> Result<Self, String> {
        let template = ChatTemplate::new(template).map_err(|e| format!("its chat template: {e:#}"))?;
        let end_text = end_of_turn(&framing, &template)?;
        let id = |text: &str| framing.token_to_id(text);
        let end = id(&end_text).expect("invariant: the end of a turn is an added token");
        let pad = token_text(&settings["pad_token"]).and_then(id).or_else(|| id(END_OF_TEXT)).unwrap_or(end);
        settings["chat_template"] = template.source().into();
        let mut content = framing.clone();
        content.set_encode_special_tokens(true);
        Ok(Self { framing, content, template, settings, end, end_text, pad })
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let path = dir.join("tokenizer.json");
        let text = self
            .framing
            .to_string(true)
            .map_err(|e| ModelError::Tokenizer { path: path.clone(), problem: e.to_string() })?;
        fs_err::write(path, text)?;
        let settings = serde_json::to_string_pretty(&self.settings).expect("invariant: a value is JSON");
        fs_err::write(dir.join("tokenizer_config.json"), settings + "\n")?;
        Ok(())
    }

    /// The tokens of a conversation, up to where the assistant's next reply begins.
    ///
    /// # Errors
    /// When the template cannot render it.
    pub fn encode_prompt(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        let mut tokens = Vec::new();
        self.each_part(messages, |part| {
            tokens.extend(self.encode_part(part)?);
            Ok(())
        })?;
        Ok(tokens)
    }

    /// Hands over the parts that a prompt is encoded in, in order.
    fn each_part(
        &self,
        messages: &[Message],
        mut take: impl FnMut(Part<'_>) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let failed = |source| ModelError::Template { messages: messages.len(), source };
        let frames = self.template.frames(messages).map_err(failed)?;
        let replies = messages.iter().filter(|message| message.role == Role::Assistant);
        take(Part::Frame(&frames[0]))?;
        for (reply, frame) in replies.zip(&frames[1..]) {
            take(Part::Reply(&reply.content))?;
            let frame = frame.strip_prefix(&self.end_text).ok_or_else(|| failed(unended()))?;
            take(Part::Frame(frame))?;
        }
        Ok(())
    }

    fn encode_part(&self, part: Part<'_>) -> Result<Vec<u32>, ModelError> {
        match part {
            Part::Frame(text) => encode(&self.framing, text),
            Part::Reply(text) => self.encode_reply(text),
        }
    }

    /// The tokens of a reply and the end of its turn.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode_reply(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let mut tokens = encode(&self.content, text)?;
        tokens.push(self.end);
        Ok(tokens)
    }

    /// The tokens of a text in which special tokens mean what they are.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        encode(&self.framing, text)
    }

    /// The text of tokens, without the end of the turn.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let tokens: Vec<u32> = tokens.iter().copied().filter(|&token| token != self.end).collect();
        // It fails only where a decoder's own rules do, which byte-level ones never do.
        self.framing.decode(&tokens, false).unwrap_or_default()
    }

    /// The token that ends a turn.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// What the token that ends a turn is written as.
    pub fn end_text(&self) -> &str {
        &self.end_text
    }

    /// The token that fills a batch.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// One more than the largest token.
    pub fn vocab_size(&self) -> usize {
        self.framing.get_vocab(true).values().max().map_or(0, |&last| last as usize + 1)
    }
}

/// A part of a prompt, encoded by itself.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    /// What the template writes around replies.
    Frame(&'a str),
    /// What the assistant said.
    Reply(&'a str),
}

/// Encodes prompts that begin alike, such as those of a trajectory's steps, each part of them once.
#[derive(Debug, Clone, Default)]
pub struct PromptMemo {
    frames: HashMap<String, Vec<u32>>,
    replies: HashMap<String, Vec<u32>>,
}

impl PromptMemo {
    /// What [`ChatTokenizer::encode_prompt`] gives; a memo knows the parts of one tokenizer only.
    ///
    /// # Errors
    /// When the template cannot render it.
    pub fn encode_prompt(
        &mut self,
        tokenizer: &ChatTokenizer,
        messages: &[Message],
    ) -> Result<Vec<u32>, ModelError> {
        let mut tokens = Vec::new();
        tokenizer.each_part(messages, |part| {
            let (known, text) = match part {
                Part::Frame(text) => (&mut self.frames, text),
                Part::Reply(text) => (&mut self.replies, text),
            };
            if let Some(part) = known.get(text) {
                tokens.extend_from_slice(part);
                return Ok(());
            }
            let part = tokenizer.encode_part(part)?;
            tokens.extend_from_slice(&part);
            known.insert(text.to_owned(), part);
            Ok(())
        })?;
        Ok(tokens)
    }
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, ModelError> {
    let failed = |e: tokenizers::Error| ModelError::Encode { bytes: text.len(), problem: e.to_string() };
    Ok(tokenizer.encode_fast(text, false).map_err(failed)?.get_ids().to_vec())
}

fn untrained(pieces: Pieces) -> Result<Tokenizer, tokenizers::Error> {
    let pieces = Split::new(
        SplitPattern::Regex(pieces.pattern().to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = Tokenizer::new(BPE::default());
    // No normalizer: Qwen's NFC would not give an action back as it was written.
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::Sequence(Sequence::new(vec![
        PreTokenizerWrapper::Split(pieces),
        PreTokenizerWrapper::ByteLevel(bytes),
    ]))));
    tokenizer.with_decoder(Some(bytes));
    Ok(tokenizer)
}

/// Finds what the template writes after a reply, and checks that a longer conversation begins like a shorter one.
fn end_of_turn(tokenizer: &Tokenizer, template: &ChatTemplate) -> Result<String, String> {
    let message = |role, content: &str| Message { role, content: content.to_owned() };
    let short = [message(Role::System, "a"), message(Role::User, "b")];
    let long = [&short[..], &[message(Role::Assistant, "c"), message(Role::User, "d")]].concat();
    let frames =
        |messages: &[Message]| template.frames(messages).map_err(|e| format!("its chat template: {e:#}"));
    let (short, long) = (frames(&short)?, frames(&long)?);
    if short[0] != long[0] {
        return Err("its chat template rewrites earlier turns when a conversation grows".to_owned());
    }
    let added: BTreeMap<u32, AddedToken> = tokenizer.get_added_tokens_decoder().into_iter().collect();
    added
        .into_values()
        .map(|token| token.content)
        .find(|content| long[1].starts_with(content.as_str()))
        .ok_or_else(|| "its chat template ends a turn without a special token".to_owned())
}

fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or(value["content"].as_str())
}

fn unended() -> minijinja::Error {
    minijinja::Error::new(
        minijinja::ErrorKind::InvalidOperation,
        "an assistant message does not end with the end of its turn",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = String> {
        (0..60).map(|i| format!("class Field{i}:\n\tdef name(self):\n        return 'schéma {}'\n", i * 37))
    }

    fn trained() -> ChatTokenizer {
        ChatTokenizer::train(texts(), 400, Pieces::Words).unwrap()
    }

    fn message(role: Role, content: &str) -> Message {
        Message { role, content: content.to_owned() }
    }

    fn conversation() -> Vec<Message> {
        vec![
            message(Role::System, "Rules."),
            message(Role::User, "Problem"),
            message(Role::Assistant, "<think>look</think>\nls -la"),
            message(Role::User, "\nfile.py "),
            message(Role::Assistant, "<think> two\n\n</think>\n  cat file.py\n\n"),
            message(Role::User, ""),
        ]
    }

    /// With another chat template.
    fn with_template(template: &str) -> Result<ChatTokenizer, String> {
        ChatTokenizer::new(trained().framing, template, json!({}))
    }

    fn assert_append_only(tokenizer: &ChatTokenizer) {
        let messages = conversation();
        let prompt = |n: usize| tokenizer.encode_prompt(&messages[..n]).unwrap();
        for n in [2, 4] {
            let reply = tokenizer.encode_reply(&messages[n].content).unwrap();
            let begun = [prompt(n), reply].concat();
            assert_eq!(prompt(n + 2)[..begun.len()], begun);
        }
    }

    #[test]
    fn every_text_comes_back_byte_for_byte() {
        for pieces in [Pieces::Words, Pieces::Lines] {
            let tokenizer = ChatTokenizer::train(texts(), 400, pieces).unwrap();
            for text in [
                "",
                " a  b\t\r\n\n",
                "e\u{301} é 日本 🦀",
                "<think>x</think>\nsed -i 's/a/b/' f.py",
                "12:  while [ \"$n\" -gt 10 ]; do\n13:",
                "<|im_end|>",
            ] {
                assert_eq!(tokenizer.decode(&tokenizer.encode_reply(text).unwrap()), text, "{pieces:?}");
            }
        }
    }

    #[test]
    fn a_line_that_was_seen_often_is_one_piece() {
        let tokenizer = ChatTokenizer::train(texts(), 400, Pieces::Lines).unwrap();
        let line = "\tdef name(self):\n";
        let piece = tokenizer.encode_text(line).unwrap();
        assert_eq!(piece.len(), 1);
        // Its number does not change what it is.
        assert!(tokenizer.encode_text(&format!("7:{line}")).unwrap().ends_with(&piece));
    }

    #[test]
    fn a_reply_has_exactly_one_end_and_thoughts_are_single_tokens() {
        let tokenizer = trained();
        let tokens = tokenizer.encode_reply("<think>a<|im_end|></think>").unwrap();
        assert_eq!(tokens.iter().filter(|&&token| token == tokenizer.end()).count(), 1);
        assert_eq!(tokenizer.decode(&tokens[..1]), "<think>");
        assert!((256 + 5..=400).contains(&tokenizer.vocab_size()));
        assert_ne!(tokenizer.end(), tokenizer.pad());
    }

    #[test]
    fn a_memo_gives_the_same_tokens() {
        let (tokenizer, messages) = (trained(), conversation());
        let mut memo = PromptMemo::default();
        for n in [2, 4, 6, 4, 2] {
            let tokens = memo.encode_prompt(&tokenizer, &messages[..n]).unwrap();
            assert_eq!(tokens, tokenizer.encode_prompt(&messages[..n]).unwrap());
        }
    }

    #[test]
    fn prompts_only_grow_at_their_end() {
        assert_append_only(&trained());
    }

    #[test]
    fn prompts_grow_at_their_end_under_templates_that_edit_earlier_replies() {
        // What Qwen3's does: thoughts of earlier turns go, by Python's string methods.
        let template = "{%- set ns = namespace(last=messages|length - 1) %}\
            {%- for message in messages %}\
            {%- if message.role == 'assistant' %}\
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n').strip() %}\
            {{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}\
            {%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}\
            {%- endfor %}\
            {%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";
        assert_append_only(&with_template(template).unwrap());
    }

    #[test]
    fn templates_that_cannot_grow_or_end_are_refused() {
        let refused = |template: &str, reason: &str| {
            let problem = with_template(template).unwrap_err();
            assert!(problem.contains(reason), "{problem}");
        };
        refused(
            "{{ messages|length }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}",
            "rewrites",
        );
        refused("{% for m in messages %}{{ m.content }}.{% endfor %}", "special token");
        refused(
            "{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
            "leaves out",
        );
        refused("{{ raise_exception('no system') }}", "no system");
    }

    #[test]
    fn the_same_texts_give_the_same_tokenizer_and_files_give_it_back() {
        let dir = tempfile::tempdir().unwrap();
        trained().save(dir.path()).unwrap();
        let first = fs_err::read(dir.path().join("tokenizer.json")).unwrap();
        ChatTokenizer::load(dir.path()).unwrap().save(dir.path()).unwrap();
        assert_eq!(first, fs_err::read(dir.path().join("tokenizer.json")).unwrap());
        for _ in 0..4 {
            assert_eq!(trained().framing.to_string(true).unwrap().as_bytes(), first);
        }
    }

    #[test]
    fn a_missing_or_damaged_tokenizer_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = ChatTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(missing.contains("tokenizer.json"), "{missing}");
        fs_err::write(dir.path().join("tokenizer.json"), "{").unwrap();
        let damaged = ChatTokenizer::load(dir.path()).unwrap_err().to_string();
        assert!(damaged.contains("tokenizer.json"), "{damaged}");
    }
}
