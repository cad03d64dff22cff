//! Templates become text: shell in which every value is quoted, and files in which no value can begin a new line.
//!
//! Invariant: quoting is by construction. A value reaches shell text only through [`shell_quote`]; what would bypass it is refused when
//! the catalogue is loaded (`shell_check`).

use std::io::{Error, Write};

use tera::{Context, Kwargs, State, Tera, Value};

/// Renders shell text; every value comes out as one quoted word, a list with the filter `words` as several.
///
/// # Errors
/// The template is wrong or uses a value that does not exist.
pub fn shell(name: &str, template: &str, context: &Context) -> Result<String, String> {
    let mut tera = Tera::default();
    tera.set_escape_fn(shell_quote);
    tera.register_filter("words", words);
    tera.render_str(template, context, true).map_err(|error| format!("{name}: {error}"))
}

/// Renders the content of a file; a value with a line end or control character is refused unless the template says `safe`.
///
/// # Errors
/// The template is wrong, uses a value that does not exist, or a value would break out of its line.
pub fn file(name: &str, template: &str, context: &Context) -> Result<String, String> {
    let mut tera = Tera::default();
    tera.set_escape_fn(one_line);
    tera.render_str(template, context, true).map_err(|error| format!("{name}: {error}"))
}

/// Whether an expression holds.
///
/// # Errors
/// The expression is wrong or uses a value that does not exist.
pub fn holds(expression: &str, context: &Context) -> Result<bool, String> {
    let failed = |error: tera::Error| format!("when `{expression}`: {error}");
    let tera = condition(expression)?;
    // A comparison with something that does not exist is false for Tera; for us it is a spelling mistake.
    for name in tera.get_template_variables("when").map_err(failed)? {
        if context.get(name).is_none() {
            return Err(format!("when `{expression}`: `{name}` does not exist"));
        }
    }
    tera.render("when", context).map(|text| text == "yes").map_err(failed)
}

fn condition(expression: &str) -> Result<Tera, String> {
    let mut tera = Tera::default();
    tera.add_raw_template("when", &format!("{{% if {expression} %}}yes{{% endif %}}"))
        .map_err(|error| format!("when `{expression}`: {error}"))?;
    Ok(tera)
}

/// Single quotes around everything; a single quote inside ends them, stands escaped, and begins them again (POSIX shell, 2.2.2).
fn shell_quote(text: &str, output: &mut dyn Write) -> std::io::Result<()> {
    if text.contains('\0') {
        return Err(Error::other("a value contains NUL, which no shell word can hold"));
    }
    write!(output, "'{}'", text.replace('\'', r"'\''"))
}

fn one_line(text: &str, output: &mut dyn Write) -> std::io::Result<()> {
    if text.chars().any(char::is_control) {
        return Err(Error::other(format!("the value {text:?} contains a line end or control character")));
    }
    output.write_all(text.as_bytes())
}

/// A list as separately quoted words.
fn words(list: Value, _: Kwargs, _: &State<'_>) -> tera::TeraResult<Value> {
    let Some(entries) = list.as_array() else {
        return Err(tera::Error::message("the filter `words` needs a list"));
    };
    let mut output = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            output.push(b' ');
        }
        shell_quote(&entry.to_string(), &mut output).map_err(tera::Error::message)?;
    }
    Ok(Value::safe_string(&String::from_utf8_lossy(&output)))
}

/// Refuses a file template that Tera cannot parse.
///
/// # Errors
/// What is wrong, with file and line.
pub fn check_file(name: &str, template: &str) -> Result<(), String> {
    Tera::default().add_raw_template(name, template).map_err(|error| format!("{name}: {error}"))
}

/// Refuses an expression that Tera cannot parse.
///
/// # Errors
/// What is wrong.
pub fn check_expression(expression: &str) -> Result<(), String> {
    condition(expression).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(value: &impl serde::Serialize) -> Context {
        let mut context = Context::new();
        context.insert("value", value);
        context
    }

    #[test]
    fn a_value_becomes_one_quoted_word() {
        let text = shell("x.sh.tera", "echo {{ value }}\n", &context(&"it's; reboot")).unwrap();
        assert_eq!(text, "echo 'it'\\''s; reboot'\n");
    }

    #[test]
    fn a_list_becomes_quoted_words() {
        let text =
            shell("x.sh.tera", "apt-get install {{ value | words }}", &context(&["a b", "c"])).unwrap();
        assert_eq!(text, "apt-get install 'a b' 'c'");
    }

    #[test]
    fn a_value_that_does_not_exist_is_an_error() {
        assert!(shell("x.sh.tera", "echo {{ valeu }}", &context(&1)).is_err());
        assert!(file("x.tera", "{{ value.nothing }}", &context(&1)).is_err());
        assert!(holds("valeu == 1", &context(&1)).is_err());
    }

    #[test]
    fn a_value_cannot_begin_a_new_line_in_a_file() {
        assert_eq!(file("x", "a={{ value }}\n", &context(&"b")).unwrap(), "a=b\n");
        assert!(file("x", "a={{ value }}\n", &context(&"b\nroot=1")).is_err());
        assert_eq!(file("x", "{{ value | safe }}", &context(&"b\nc")).unwrap(), "b\nc");
    }
}
