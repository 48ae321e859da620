//! Rows in Parquet, column by column.
//!
//! Guarantees a schema without optional columns, and that no more than one row group is in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::rows::{Layout, RULE, Row, SPLIT, Store};
use crate::chat::{Message, Role};
use crate::fsio::whole::WholeFile;

/// Bytes of text after which a row group is written.
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// A Parquet file in the making.
pub(super) struct Parquet {
    writer: SerializedFileWriter<WholeFile>,
    layout: Layout,
    group: Group,
}

impl Parquet {
    /// Begins the file.
    pub(super) fn create(path: &Path, layout: Layout) -> anyhow::Result<Self> {
        let schema = parse_message_type(&schema(layout)).context("invariant: the schema is ours")?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = WholeFile::create(path)?;
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, layout, group: Group::default() })
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.group.index.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        std::mem::take(&mut self.group).write(&mut group)?;
        group.close()?;
        Ok(())
    }
}

impl Store for Parquet {
    fn push(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.group.push(row, self.layout);
        if GROUP_BYTES <= self.group.bytes { self.flush() } else { Ok(()) }
    }

    fn finish(mut self) -> anyhow::Result<PathBuf> {
        self.flush()?;
        self.writer.into_inner()?.finish()
    }
}

fn schema(layout: Layout) -> String {
    let text = |name: &str| format!("required binary {name} (STRING);");
    format!(
        "message row {{ {source} \
         required group prompt (LIST) {{ repeated group list {{ required group element {{ {role} {content} }} }} }} \
         {word} required group {reward} {{ {method} {truth} }} \
         required group extra_info {{ {split} required int64 index; {task} {trajectory} required int64 step; }} }}",
        source = text("data_source"),
        role = text("role"),
        content = text("content"),
        word = text(layout.word.0),
        reward = layout.reward.0,
        method = text(layout.reward.1),
        truth = text("ground_truth"),
        split = text("split"),
        task = text("task"),
        trajectory = text("trajectory"),
    )
}

/// The columns of a row group, in the schema's order.
#[derive(Default)]
struct Group {
    source: Vec<ByteArray>,
    roles: Vec<ByteArray>,
    contents: Vec<ByteArray>,
    /// 0 where a message begins a row, else 1.
    repetition: Vec<i16>,
    word: Vec<ByteArray>,
    truth: Vec<ByteArray>,
    index: Vec<i64>,
    task: Vec<ByteArray>,
    trajectory: Vec<ByteArray>,
    step: Vec<i64>,
    bytes: usize,
}

impl Group {
    fn push(&mut self, row: &Row<'_>, layout: Layout) {
        let lesson = row.lesson;
        self.source.push(text(&row.data_source()));
        for (index, Message { role, content }) in lesson.messages.iter().enumerate() {
            self.roles.push(text(match role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            }));
            self.contents.push(text(content));
            self.repetition.push(i16::from(index != 0));
            self.bytes += content.len();
        }
        self.word.push(text(row.word(layout)));
        self.truth.push(text(&lesson.action));
        self.index.push(row.index as i64);
        self.task.push(text(lesson.task));
        self.trajectory.push(text(lesson.trajectory));
        self.step.push(lesson.step as i64);
        self.bytes += lesson.action.len();
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, WholeFile>) -> anyhow::Result<()> {
        let rows = self.index.len();
        // A message is always there, so its definition is the list's level.
        let definition = vec![1; self.repetition.len()];
        let list = Some((definition.as_slice(), self.repetition.as_slice()));
        texts(group, &self.source, None)?;
        texts(group, &self.roles, list)?;
        texts(group, &self.contents, list)?;
        texts(group, &self.word, None)?;
        texts(group, &vec![text(RULE); rows], None)?;
        texts(group, &self.truth, None)?;
        texts(group, &vec![text(SPLIT); rows], None)?;
        numbers(group, &self.index)?;
        texts(group, &self.task, None)?;
        texts(group, &self.trajectory, None)?;
        numbers(group, &self.step)
    }
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}

fn texts(
    group: &mut SerializedRowGroupWriter<'_, WholeFile>,
    values: &[ByteArray],
    levels: Option<(&[i16], &[i16])>,
) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("invariant: the schema has this column")?;
    let (definition, repetition) = levels.unzip();
    column.typed::<ByteArrayType>().write_batch(values, definition, repetition)?;
    column.close()?;
    Ok(())
}

fn numbers(group: &mut SerializedRowGroupWriter<'_, WholeFile>, values: &[i64]) -> anyhow::Result<()> {
    let mut column = group.next_column()?.context("invariant: the schema has this column")?;
    column.typed::<Int64Type>().write_batch(values, None, None)?;
    column.close()?;
    Ok(())
}
