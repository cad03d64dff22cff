//! How people name packages, and the answers to their questions. Pure.

/// Whether a text names a package: Debian policy 5.6.1 for the name; what may follow it is apt-get(8)'s.
pub fn is_package(text: &str) -> bool {
    let end = text.find([':', '=', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    // A minus at the end would make apt-get(8) remove what it shall install.
    !text.ends_with('-')
        && name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b":=/+-.~_".contains(&b))
}

/// Whether a text is `package question type answer`. A password that stands here would be in plans, logs and on pages.
pub fn is_debconf_answer(text: &str) -> bool {
    const KINDS: [&str; 8] =
        ["string", "boolean", "select", "multiselect", "note", "text", "password", "error"];
    let Some(answer) = wire::package_work::DebconfAnswer::parse(text) else { return false };
    let is_shown_password = answer.kind == "password" && answer.secret.is_none() && !answer.value.is_empty();
    is_package(&answer.package)
        && answer.question.contains('/')
        && KINDS.contains(&answer.kind.as_str())
        && !is_shown_password
        && !text.chars().any(char::is_control)
}
