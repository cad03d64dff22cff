use std::{
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use proptest::prelude::*;
use tera::Context;

use super::*;
use crate::catalog::render;

/// Runs shell text as the agent does, in a directory of its own.
#[expect(clippy::disallowed_methods, reason = "a test of what a real shell makes of quoted values")]
fn sh(text: &str, options: &str, directory: &Path) -> Output {
    let mut child = std::process::Command::new("/bin/sh")
        .args([options, "/dev/stdin"])
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn context(value: &impl serde::Serialize) -> Context {
    let mut context = Context::new();
    context.insert("value", value);
    context.insert("list", &[value]);
    context.insert("none", &[(); 0]);
    context.insert("yes", &true);
    context
}

/// What a person may have typed: everything but NUL, with much of what a shell gives a meaning.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{0,40}",
        proptest::collection::vec(
            prop_oneof![
                Just("'"),
                Just("\""),
                Just("\\"),
                Just("$"),
                Just("`"),
                Just("\n"),
                Just(" "),
                Just("$("),
                Just(")"),
                Just("#"),
                Just("${"),
                Just("}"),
                Just("*"),
                Just("~"),
                Just(";"),
                Just("&"),
                Just("|"),
                Just("<"),
                Just(">"),
                Just("!"),
                Just("-n"),
                Just("\r"),
                Just("\u{7f}"),
                Just("ä"),
                Just("{{"),
                Just("%}")
            ],
            0..20
        )
        .prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #[test]
    fn any_text_survives_the_shell(value in text()) {
        let directory = tempfile::tempdir().unwrap();
        let rendered = render::shell("x.sh.tera", "printf %s {{ value }}", &context(&value)).unwrap();
        let output = sh(&rendered, "-eu", directory.path());
        prop_assert_eq!(output.stdout, value.into_bytes());
    }

    #[test]
    fn any_list_survives_the_shell_word_by_word(values in proptest::collection::vec(text(), 0..5)) {
        let directory = tempfile::tempdir().unwrap();
        let template = "for word in {{ value | words }}; do printf '%s\\0' \"$word\"; done";
        let rendered = render::shell("x.sh.tera", template, &context(&values)).unwrap();
        let output = sh(&rendered, "-eu", directory.path());
        prop_assert_eq!(output.stdout, values.iter().flat_map(|value| [value.as_bytes(), b"\0"].concat()).collect::<Vec<_>>());
    }
}

/// A template of places within places, most of them closed as they should be.
fn template() -> impl Strategy<Value = String> {
    const PIECES: [&str; 19] = [
        "a",
        " ",
        "\n",
        "\"",
        "'",
        "\\",
        "\\\n",
        "#",
        " # ",
        "$",
        "(",
        ")",
        ";",
        "{{ list | words }}",
        "{{ none | words }}",
        "{{ value }}",
        "{{ value }}",
        "{{ value }}",
        "{{ value }}",
    ];
    const PLACES: [(&str, &str); 12] = [
        ("\"", "\""),
        ("'", "'"),
        ("$(echo ", ")"),
        ("(", ")"),
        ("$((", "))"),
        ("`echo ", "`"),
        ("${a:-", "}"),
        ("# ", "\n"),
        ("{% if yes %}", "{% endif %}"),
        ("{% if yes %}", "{% else %}\"{% endif %}"),
        ("cat <<a\n", "\na\n"),
        ("eval ", "\n"),
    ];
    let piece = (0..PIECES.len()).prop_map(|piece| PIECES[piece].to_owned());
    let parts = piece.prop_recursive(4, 12, 4, |inner| {
        (0..PLACES.len(), proptest::collection::vec(inner, 1..4))
            .prop_map(|(place, inside)| format!("{}{}{}", PLACES[place].0, inside.concat(), PLACES[place].1))
    });
    proptest::collection::vec(parts, 1..4).prop_map(|parts| parts.concat())
}

/// Commands that write a file, were they ever read as commands.
const ATTACKS: [&str; 6] = [
    "$(: > taken)",
    "`: > taken`",
    "\n: > taken\n",
    "'; : > taken; '",
    "\"; : > taken; \"",
    "\\'; : > taken; \\\"$(: > taken)",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_template_that_passes_runs_a_value(
        template in template(),
        attack in 0..ATTACKS.len(),
    ) {
        if !template.contains("{{") || check_shell("x.sh.tera", &template).is_err() {
            return Ok(());
        }
        let directory = tempfile::tempdir().unwrap();
        // Without -e and -u: the shell shall get as far as it can.
        if let Ok(rendered) = render::shell("x.sh.tera", &template, &context(&ATTACKS[attack])) {
            sh(&rendered, "-f", directory.path());
            prop_assert!(!directory.path().join("taken").exists(), "{template:?} became {rendered:?}");
        }
    }
}

#[test]
fn what_would_bypass_the_quoting_is_refused_with_its_line() {
    for line in [
        "echo \"{{ value }}\"",
        "echo '{{ value }}'",
        "echo {{ value | safe }}",
        "echo {{ value|safe }}",
        "echo {{ value | escape_html }}",
        "echo {{ list | words | replace(from=\"'\", to=\"\") }}",
        "{% set all = list | words %}echo {{ all | trim }}",
        "{% set all %}{{ value }}{% endset %}",
        "{% filter upper %}{{ value }}{% endfilter %}",
        "# for {{ value }}",
        "echo a; # for {{ value }}",
        "echo a &# for {{ value }}",
        "(# for {{ value }}\n)",
        "echo \\{{ value }}",
        "echo ${{ value }}",
        "echo `echo {{ value }}`",
        "cat <<END\n{{ value }}\nEND",
        "echo $((1 + {{ value }}))",
        "echo \"${a:-{{ value }}}\"",
        "echo \"$(echo \"{{ value }}\")\"",
        "{% if yes %}echo \"{% else %}echo {% endif %}{{ value }}",
        "echo {{ none | words }}#{{ value }}",
        "echo {%- if yes %} {{ value }}{% endif %}",
        "eval {{ value }}",
        "echo $'{{ value }}'",
        "echo \"not closed",
        "echo 'not closed",
    ] {
        let error = check_shell("x.sh.tera", &format!("true\n{line}")).unwrap_err();
        assert!(error.starts_with("x.sh.tera:"), "{line}: {error}");
        assert!(!error.starts_with("x.sh.tera:1:"), "{line}: {error}");
    }
}

#[test]
fn what_tera_cannot_parse_is_refused() {
    for text in ["{% if value %}", "echo {{ value | nothing }}", "echo {{ value"] {
        assert!(check_shell("x.sh.tera", text).is_err(), "{text}");
    }
}

#[test]
fn ordinary_shell_text_passes() {
    for text in [
        "# don't worry\necho \"a\\\"b\" 'c' {{ value }} \\' {{ list | words }}\n{% if value %}x{% endif %} # it's fine\n",
        "home=$(getent passwd {{ value }} | cut -d: -f6)\nprintf '%s\\n' {{ list | words }} > \"$home/.ssh/a\"\n",
        "echo \"$(date) ${HOME%/*} $((1 + 2)) $(echo {{ value }} | tr a b)\"\n",
        "case {{ value }} in a) echo \"b\" ;; *) echo '(' ;; esac\n",
        "[ $# -gt 0 ] && echo \"$#\" \\\n  {{ value }}\n{# it's a note #}\n",
        "cat < {{ value }}; for x in {{ list | words }}; do echo \"$x\"; done",
    ] {
        assert_eq!(check_shell("x.sh.tera", text), Ok(()), "{text}");
    }
}
