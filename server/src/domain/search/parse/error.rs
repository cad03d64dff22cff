//! What is wrong with a search, where, and what would be possible there.

use std::{fmt, ops::Range};

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchError {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// Its place as people count: the first character is 1.
    pub place: usize,
    /// What is wrong.
    pub kind: ErrorKind,
    /// What stands there.
    pub found: String,
    /// What would be possible.
    pub possible: Vec<String>,
}

/// Kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such field.
    UnknownField,
    /// The field has no such value.
    UnknownValue,
    /// A field without a value.
    MissingValue,
    /// What should be a size is none.
    NoSize,
    /// What should be a number is none.
    NoNumber,
    /// What should be a time span is none.
    NoAge,
    /// What should be an address or its beginning is none.
    NoAddress,
    /// What should be a package, perhaps with a version, is none.
    NoPackage,
    /// The field cannot be compared by less or more.
    NotComparable,
    /// A quotation mark has no other.
    OpenQuote,
    /// A parenthesis has no other.
    OpenParenthesis,
    /// `and`, `or` or `not` have nothing behind them, or parentheses nothing inside.
    MissingTest,
    /// Nothing can stand here.
    Unexpected,
    /// The text is too long or too deep.
    TooLarge,
}

impl ErrorKind {
    /// A word for the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown-field",
            Self::UnknownValue => "unknown-value",
            Self::MissingValue => "missing-value",
            Self::NoSize => "no-size",
            Self::NoNumber => "no-number",
            Self::NoAge => "no-age",
            Self::NoAddress => "no-address",
            Self::NoPackage => "no-package",
            Self::NotComparable => "not-comparable",
            Self::OpenQuote => "open-quote",
            Self::OpenParenthesis => "open-parenthesis",
            Self::MissingTest => "missing-test",
            Self::Unexpected => "unexpected",
            Self::TooLarge => "too-large",
        }
    }
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        match self.kind {
            ErrorKind::UnknownField => write!(f, "there is no field `{found}`"),
            ErrorKind::UnknownValue => write!(f, "the field has no value `{found}`"),
            ErrorKind::MissingValue => write!(f, "`{found}` needs a value"),
            ErrorKind::NoSize => write!(f, "`{found}` is no size"),
            ErrorKind::NoNumber => write!(f, "`{found}` is no number"),
            ErrorKind::NoAge => write!(f, "`{found}` is no time span"),
            ErrorKind::NoAddress => write!(f, "`{found}` is no address nor the beginning of one"),
            ErrorKind::NoPackage => write!(f, "`{found}` is no package with or without a version"),
            ErrorKind::NotComparable => write!(f, "`{found}` cannot be compared by less or more"),
            ErrorKind::OpenQuote => f.write_str("a quotation mark is not closed"),
            ErrorKind::OpenParenthesis => f.write_str("a parenthesis is not closed"),
            ErrorKind::MissingTest => write!(f, "something is missing after `{found}`"),
            ErrorKind::Unexpected => write!(f, "`{found}` cannot stand here"),
            ErrorKind::TooLarge => f.write_str("the search is too long or too deep"),
        }?;
        write!(f, " (character {})", self.place)
    }
}

impl std::error::Error for SearchError {}
