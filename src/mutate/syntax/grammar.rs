//! What the rules look for, as each language's grammar calls it.

use tree_sitter::Node;

/// A language that is read as a syntax tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// `.py`.
    Python,
    /// `.rs`.
    Rust,
    /// `.go`.
    Go,
    /// `.js`, `.mjs`, `.cjs`.
    JavaScript,
    /// `.c`, `.h`.
    C,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 5] = [Self::Python, Self::Rust, Self::Go, Self::JavaScript, Self::C];

    /// The language of a file, by its name.
    pub fn of(file: &str) -> Option<Self> {
        match file.rsplit_once('.')?.1 {
            "py" => Some(Self::Python),
            "rs" => Some(Self::Rust),
            "go" => Some(Self::Go),
            "js" | "mjs" | "cjs" => Some(Self::JavaScript),
            "c" | "h" => Some(Self::C),
            _ => None,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::JavaScript => "javascript",
            Self::C => "c",
        }
    }
}

/// The kinds of nodes of one language.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) language: Language,
    /// What holds statements.
    pub(super) blocks: &'static [&'static str],
    pub(super) functions: &'static [&'static str],
    pub(super) classes: &'static [&'static str],
    pub(super) conditionals: &'static [&'static str],
    pub(super) loops: &'static [&'static str],
    /// Assignments, in statements of their own or as these.
    pub(super) assignments: &'static [&'static str],
    /// Statements around others, or that will run later.
    pub(super) wrappers: &'static [&'static str],
    pub(super) binaries: &'static [&'static str],
    pub(super) integers: &'static [&'static str],
    /// What holds a call's arguments.
    pub(super) arguments: &'static [&'static str],
    /// Statements that may change places with a neighbour.
    pub(super) movable: &'static [&'static str],
    /// True and false.
    pub(super) truth: [&'static str; 2],
    /// What stands before and after a condition that is turned around.
    pub(super) not: [&'static str; 2],
    /// What stands in a block that holds nothing, where that is not nothing.
    pub(super) nothing: Option<&'static str>,
}

const PYTHON: Grammar = Grammar {
    language: Language::Python,
    blocks: &["block"],
    functions: &["function_definition"],
    classes: &["class_definition"],
    conditionals: &["if_statement"],
    loops: &["for_statement", "while_statement"],
    assignments: &["assignment", "augmented_assignment"],
    wrappers: &["with_statement", "try_statement"],
    binaries: &["binary_operator", "boolean_operator", "comparison_operator"],
    integers: &["integer"],
    arguments: &["argument_list"],
    movable: &["expression_statement", "if_statement", "for_statement", "while_statement", "with_statement"],
    truth: ["True", "False"],
    not: ["not (", ")"],
    nothing: Some("pass"),
};

const RUST: Grammar = Grammar {
    language: Language::Rust,
    blocks: &["block"],
    functions: &["function_item"],
    classes: &["impl_item"],
    conditionals: &["if_expression"],
    loops: &["for_expression", "while_expression", "loop_expression"],
    assignments: &["assignment_expression", "compound_assignment_expr"],
    wrappers: &[],
    binaries: &["binary_expression"],
    integers: &["integer_literal"],
    arguments: &["arguments"],
    movable: &["expression_statement"],
    truth: ["true", "false"],
    not: ["!(", ")"],
    nothing: None,
};

const GO: Grammar = Grammar {
    language: Language::Go,
    blocks: &["block", "statement_list"],
    functions: &["function_declaration", "method_declaration"],
    classes: &[],
    conditionals: &["if_statement"],
    loops: &["for_statement"],
    assignments: &["assignment_statement", "inc_statement", "dec_statement"],
    wrappers: &["defer_statement"],
    binaries: &["binary_expression"],
    integers: &["int_literal"],
    arguments: &["argument_list"],
    movable: &[
        "expression_statement",
        "assignment_statement",
        "inc_statement",
        "dec_statement",
        "if_statement",
        "for_statement",
    ],
    truth: ["true", "false"],
    not: ["!(", ")"],
    nothing: None,
};

const JAVASCRIPT: Grammar = Grammar {
    language: Language::JavaScript,
    blocks: &["statement_block"],
    functions: &[
        "function_declaration",
        "generator_function_declaration",
        "function_expression",
        "arrow_function",
        "method_definition",
    ],
    classes: &["class_declaration", "class"],
    conditionals: &["if_statement"],
    loops: &["for_statement", "for_in_statement", "while_statement", "do_statement"],
    assignments: &["assignment_expression", "augmented_assignment_expression", "update_expression"],
    wrappers: &["try_statement"],
    binaries: &["binary_expression"],
    integers: &["number"],
    arguments: &["arguments"],
    movable: &[
        "expression_statement",
        "if_statement",
        "for_statement",
        "for_in_statement",
        "while_statement",
    ],
    truth: ["true", "false"],
    not: ["!(", ")"],
    nothing: None,
};

const C: Grammar = Grammar {
    language: Language::C,
    blocks: &["compound_statement", "case_statement"],
    functions: &["function_definition"],
    classes: &[],
    conditionals: &["if_statement"],
    loops: &["for_statement", "while_statement", "do_statement"],
    assignments: &["assignment_expression", "update_expression"],
    wrappers: &[],
    binaries: &["binary_expression"],
    integers: &["number_literal"],
    arguments: &["argument_list"],
    movable: &["expression_statement", "if_statement", "for_statement", "while_statement"],
    truth: ["true", "false"],
    not: ["!(", ")"],
    nothing: None,
};

impl Grammar {
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::Python => &PYTHON,
            Language::Rust => &RUST,
            Language::Go => &GO,
            Language::JavaScript => &JAVASCRIPT,
            Language::C => &C,
        }
    }

    pub(super) fn parser(&self) -> tree_sitter::Language {
        match self.language {
            Language::Python => tree_sitter_python::LANGUAGE.into(),
            Language::Rust => tree_sitter_rust::LANGUAGE.into(),
            Language::Go => tree_sitter_go::LANGUAGE.into(),
            Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Language::C => tree_sitter_c::LANGUAGE.into(),
        }
    }

    pub(super) fn is_definition(&self, node: Node<'_>) -> bool {
        self.functions.contains(&node.kind()) || self.classes.contains(&node.kind())
    }

    /// The name of a function, method or class.
    pub(super) fn name<'t>(&self, node: Node<'_>, text: &'t str) -> Option<&'t str> {
        if !self.is_definition(node) {
            return None;
        }
        let mut named =
            node.child_by_field_name("name").or_else(|| node.child_by_field_name("declarator"))?;
        // C wraps a function's name into what it takes and gives.
        while let Some(inner) = named.child_by_field_name("declarator") {
            named = inner;
        }
        Some(&text[named.byte_range()])
    }
}

/// Whether the node is a test within a source, as Rust has them.
pub(super) fn is_test(node: Node<'_>, text: &str) -> bool {
    let mut before = node.prev_named_sibling();
    while let Some(sibling) =
        before.filter(|sibling| sibling.is_extra() || sibling.kind() == "attribute_item")
    {
        let said = &text[sibling.byte_range()];
        let is_attribute = sibling.kind() == "attribute_item";
        if is_attribute
            && (said.contains("cfg(test)") || said.ends_with("test]") || said.starts_with("#[test"))
        {
            return true;
        }
        before = sibling.prev_named_sibling();
    }
    false
}
