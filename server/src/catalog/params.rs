//! Parameters of a job type: declared once, they give validation, the API's schema and the command line's flags.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::problem::FieldProblem;

use crate::domain::package_words::{is_debconf_answer, is_package};

/// All parameters of a job type, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, Param>);

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What the entries of a list hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Kind>,
    /// It must be given.
    #[serde(default)]
    pub required: bool,
    /// Taken when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    pub default: Option<Value>,
    /// A regular expression that the whole text must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The only texts that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// What a person reads, by language.
    #[serde(default)]
    pub help: BTreeMap<String, String>,
}

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One line.
    String,
    /// Any number of lines.
    Text,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// Several values of the kind in `of`.
    List,
    /// Name of a Debian package, with `:arch`, `=version` or `/suite` behind it if wanted (apt-get(8)).
    PackageName,
    /// An absolute path without `.` and `..`.
    Path,
    /// A public key as in `authorized_keys`.
    SshKey,
    /// A login name.
    UserName,
    /// `package question type answer` (debconf-set-selections(1)); an answer `secret:NAME` names a secret of the client.
    DebconfAnswer,
}

impl Kind {
    fn expectation(self) -> &'static str {
        match self {
            Self::String => "must be one line of text",
            Self::Text => "must be text without NUL",
            Self::Integer => "must be a whole number",
            Self::Boolean => "must be true or false",
            Self::List => "must be a list",
            Self::PackageName => "must be a package name, such as `hello` or `hello=2.10-3`",
            Self::Path => "must be an absolute path without `.` and `..`",
            Self::SshKey => "must be one public key, such as `ssh-ed25519 AAAA… name`",
            Self::DebconfAnswer => {
                "must be `package question type answer` in one line, and the answer of a password `secret:NAME`"
            }
            Self::UserName => "must be a login name of small letters, digits, - and _",
        }
    }

    fn holds(self, value: &Value) -> bool {
        let text = |fits: fn(&str) -> bool| value.as_str().is_some_and(fits);
        match self {
            Self::String => text(|text| !text.chars().any(char::is_control)),
            Self::Text => text(|text| !text.contains('\0')),
            Self::Integer => value.is_i64(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::PackageName => text(is_package),
            Self::Path => text(is_path),
            Self::DebconfAnswer => text(is_debconf_answer),
            Self::SshKey => text(crate::domain::client::is_ssh_key),
            Self::UserName => text(|text| {
                text.len() <= 32
                    && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
            }),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.len() > 1
        && text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
        && !text.chars().any(char::is_control)
}

impl Params {
    /// Parameters by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Param)> {
        self.0.iter().map(|(name, param)| (name.as_str(), param))
    }

    /// What is wrong with the declaration itself.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, param) in &self.0 {
            if (param.kind == Kind::List) != param.of.is_some() {
                faults.push(format!("params.{name}: `of` belongs to lists, and every list needs it"));
            }
            if let Some(pattern) = &param.pattern
                && let Err(error) = Regex::new(pattern)
            {
                faults.push(format!("params.{name}.pattern: {error}"));
            }
            if let Some(default) = &param.default {
                faults.extend(
                    param
                        .check(default)
                        .into_iter()
                        .map(|message| format!("params.{name}.default: {message}")),
                );
            }
        }
        faults
    }

    /// The parameters with defaults filled in.
    ///
    /// # Errors
    /// Every field that is wrong, missing or unknown.
    pub fn check(&self, given: &Value) -> Result<Value, Vec<FieldProblem>> {
        let empty = serde_json::Map::new();
        let given = match given {
            Value::Null => &empty,
            Value::Object(map) => map,
            _ => return Err(vec![problem("params", "must be an object".to_owned())]),
        };
        let mut problems: Vec<_> = given
            .keys()
            .filter(|name| !self.0.contains_key(*name))
            .map(|name| {
                let known = self.0.keys().cloned().collect::<Vec<_>>().join(", ");
                problem(&format!("params.{name}"), format!("is not known; known are: {known}"))
            })
            .collect();
        let mut complete = serde_json::Map::new();
        for (name, param) in &self.0 {
            match given.get(name).or(param.default.as_ref()) {
                Some(value) => {
                    let wrong = param.check(value);
                    problems
                        .extend(wrong.into_iter().map(|message| problem(&format!("params.{name}"), message)));
                    complete.insert(name.clone(), value.clone());
                }
                None if param.required => {
                    problems.push(problem(&format!("params.{name}"), "is required".to_owned()));
                }
                None => {
                    complete.insert(name.clone(), param.empty());
                }
            }
        }
        if problems.is_empty() { Ok(Value::Object(complete)) } else { Err(problems) }
    }

    /// The JSON Schema (draft 2020-12) of the parameters.
    pub fn json_schema(&self) -> Value {
        let properties: serde_json::Map<_, _> =
            self.0.iter().map(|(name, param)| (name.clone(), param.json_schema())).collect();
        let required: Vec<_> =
            self.0.iter().filter(|(_, param)| param.required).map(|(name, _)| name).collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    /// Parameters from `name=value` words, as the command line takes them; a list is written with commas or by repeating the name.
    ///
    /// # Errors
    /// A word is not of this form, or the value is not of the declared kind.
    pub fn parse_words(&self, words: &[String]) -> Result<Value, Vec<FieldProblem>> {
        let mut given = serde_json::Map::new();
        let mut problems = Vec::new();
        for word in words {
            let Some((name, text)) = word.split_once('=') else {
                problems.push(problem(word, "must be NAME=VALUE".to_owned()));
                continue;
            };
            let kind = self.0.get(name).map_or(Kind::String, |param| param.kind);
            let value = match kind {
                Kind::Integer => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
                Kind::Boolean => text.parse::<bool>().map_or_else(|_| json!(text), |flag| json!(flag)),
                Kind::List => {
                    let more = text.split(',').map(|part| json!(part));
                    match given.get_mut(name) {
                        Some(Value::Array(list)) => {
                            list.extend(more);
                            continue;
                        }
                        _ => Value::Array(more.collect()),
                    }
                }
                Kind::String
                | Kind::Text
                | Kind::PackageName
                | Kind::Path
                | Kind::SshKey
                | Kind::DebconfAnswer
                | Kind::UserName => json!(text),
            };
            given.insert(name.to_owned(), value);
        }
        if problems.is_empty() { Ok(Value::Object(given)) } else { Err(problems) }
    }
}

fn problem(field: &str, message: String) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message }
}

impl Param {
    fn check(&self, value: &Value) -> Vec<String> {
        if !self.kind.holds(value) {
            return vec![self.kind.expectation().to_owned()];
        }
        let mut wrong = Vec::new();
        if let (Some(of), Value::Array(list)) = (self.of, value) {
            for (at, entry) in list.iter().enumerate().filter(|(_, entry)| !of.holds(entry)) {
                wrong.push(format!("entry {} ({entry}) {}", at + 1, of.expectation()));
            }
            if self.required && list.is_empty() {
                wrong.push("must not be empty".to_owned());
            }
        }
        if let Some(text) = value.as_str() {
            let fits = |pattern: &String| {
                Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text))
            };
            if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !fits(pattern)) {
                wrong.push(format!("must match {pattern}"));
            }
            if !self.one_of.is_empty() && !self.one_of.iter().any(|allowed| allowed == text) {
                wrong.push(format!("must be one of: {}", self.one_of.join(", ")));
            }
            if self.required && text.is_empty() {
                wrong.push("must not be empty".to_owned());
            }
        }
        wrong
    }

    /// What a template sees when an optional parameter without default is not given.
    fn empty(&self) -> Value {
        match self.kind {
            Kind::List => json!([]),
            Kind::Boolean => json!(false),
            Kind::Integer => json!(0),
            Kind::String
            | Kind::Text
            | Kind::PackageName
            | Kind::Path
            | Kind::SshKey
            | Kind::UserName
            | Kind::DebconfAnswer => {
                json!("")
            }
        }
    }

    fn json_schema(&self) -> Value {
        let simple = |kind: Kind| match kind {
            Kind::Integer => json!({ "type": "integer" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::List => json!({ "type": "array" }),
            Kind::String
            | Kind::Text
            | Kind::PackageName
            | Kind::Path
            | Kind::SshKey
            | Kind::UserName
            | Kind::DebconfAnswer => {
                json!({ "type": "string", "description": kind.expectation() })
            }
        };
        let mut schema = simple(self.kind);
        if let Some(of) = self.of {
            schema["items"] = simple(of);
        }
        if let Some(default) = &self.default {
            schema["default"] = default.clone();
        }
        if let Some(pattern) = &self.pattern {
            schema["pattern"] = json!(format!("^(?:{pattern})$"));
        }
        if !self.one_of.is_empty() {
            schema["enum"] = json!(self.one_of);
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        serde_yaml::from_str(
            "packages: { type: list, of: package-name, required: true }\n\
             full: { type: boolean, default: true }\n\
             mode: { type: string, one_of: [a, b], default: a }\n",
        )
        .unwrap()
    }

    #[test]
    fn defaults_are_filled_in() {
        let complete = params().check(&json!({ "packages": ["hello"] })).unwrap();
        assert_eq!(complete, json!({ "packages": ["hello"], "full": true, "mode": "a" }));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let problems =
            params().check(&json!({ "packages": ["a; reboot"], "mode": "c", "fulll": 1 })).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(fields, ["params.fulll", "params.mode", "params.packages"]);
        assert_eq!(params().check(&json!({})).unwrap_err().len(), 1);
        assert_eq!(params().check(&json!([1])).unwrap_err().len(), 1);
    }

    #[test]
    fn words_of_the_command_line_become_typed_values() {
        let words = ["packages=a2,b2".to_owned(), "packages=c2".to_owned(), "full=false".to_owned()];
        assert_eq!(
            params().parse_words(&words).unwrap(),
            json!({ "packages": ["a2", "b2", "c2"], "full": false })
        );
    }

    #[test]
    fn an_option_is_no_package_and_neither_is_an_order() {
        for text in ["-o", "--allow", "a", "A2", "a2 b2", "a2=$(x)", "../x", "bash-", "bash:amd64-"] {
            assert!(!is_package(text), "{text}");
        }
        for text in ["libstdc++6", "hello:amd64", "hello=2.10-3+b1", "0ad"] {
            assert!(is_package(text), "{text}");
        }
    }
}
