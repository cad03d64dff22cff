//! Text as key presses: the names by which QEMU's monitor knows the keys of a US keyboard.

use anyhow::{Result, bail};

/// The key presses that type this text; a new line is the Enter key.
///
/// # Errors
/// A character has no key on a US keyboard.
pub fn for_text(text: &str) -> Result<Vec<String>> {
    text.chars().map(key).collect()
}

fn key(sign: char) -> Result<String> {
    let name = match sign {
        'a'..='z' | '0'..='9' => sign.to_string(),
        'A'..='Z' => format!("shift-{}", sign.to_ascii_lowercase()),
        '\n' => "ret".into(),
        ' ' => "spc".into(),
        '-' => "minus".into(),
        '_' => "shift-minus".into(),
        '=' => "equal".into(),
        '.' => "dot".into(),
        ',' => "comma".into(),
        '/' => "slash".into(),
        ':' => "shift-semicolon".into(),
        ';' => "semicolon".into(),
        '[' => "bracket_left".into(),
        ']' => "bracket_right".into(),
        _ => bail!("no key types {sign:?}"),
    };
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::for_text;

    #[test]
    fn an_address_is_typed_with_the_keys_of_a_us_keyboard() {
        assert_eq!(for_text("Ab:8\n").unwrap(), ["shift-a", "b", "shift-semicolon", "8", "ret"]);
    }

    #[test]
    fn a_sign_without_a_key_is_refused_instead_of_left_out() {
        assert!(for_text("ü").is_err());
    }
}
