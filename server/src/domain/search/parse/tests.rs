//! What is read, what is refused, and that what is printed is read again.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    client::Stage,
    search::{Age, Flag},
};

fn wrong(text: &str) -> (ErrorKind, String, usize) {
    let error = parse(text).unwrap_err();
    (error.kind, error.found, error.place)
}

#[test]
fn the_example_of_the_help_is_read() {
    let text = "stage:installed health:offline group:room-101 os:debian-12 mac:52:54 ip:10.0. \
                package:openssl<3.0.15 memory<4G disk>500G model:\"OptiPlex 7080\" seen<7d and not (tag or name:pc-*)";
    let Expr::All(parts) = parse(text).unwrap() else { panic!("no list") };
    assert_eq!(parts.len(), 12);
    assert_eq!(
        parts[9],
        Expr::Test(Test::Text(Text::Model, Pattern("OptiPlex 7080".to_owned())), Span(0..0))
    );
    let Expr::Not(inside) = &parts[11] else { panic!("no negation") };
    assert!(matches!(&**inside, Expr::Any(parts) if parts.len() == 2));
}

#[test]
fn or_binds_less_than_and() {
    let text = "a b or not c and d";
    let Expr::Any(parts) = parse(text).unwrap() else { panic!("no alternative") };
    assert!(parts.iter().all(|part| matches!(part, Expr::All(both) if both.len() == 2)));
    assert_eq!(parse(text).unwrap().to_string(), "a b or not c d");
}

#[test]
fn spans_name_the_place_of_a_test() {
    let Expr::All(parts) = parse("ä stage:installed").unwrap() else { panic!("no list") };
    let Expr::Test(Test::Stage(Stage::Installed), Span(span)) = &parts[1] else { panic!("no stage") };
    assert_eq!(*span, 3..18);
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_is_possible() {
    let word = |word: &str| word.to_owned();
    assert_eq!(wrong("ä staeg:installed"), (ErrorKind::UnknownField, word("staeg"), 3));
    assert_eq!(wrong("stage:instaled"), (ErrorKind::UnknownValue, word("instaled"), 7));
    assert_eq!(parse("health:bad").unwrap_err().possible, ["ok", "warning", "critical", "offline"]);
    assert_eq!(wrong("name:"), (ErrorKind::MissingValue, word("name:"), 1));
    assert_eq!(wrong("memory<big"), (ErrorKind::NoSize, word("big"), 8));
    assert_eq!(wrong("threads>x"), (ErrorKind::NoNumber, word("x"), 9));
    assert_eq!(wrong("seen<7"), (ErrorKind::NoAge, word("7"), 6));
    assert_eq!(wrong("mac:zz"), (ErrorKind::NoAddress, word("zz"), 5));
    assert_eq!(wrong("ip:10.0.0.0/33"), (ErrorKind::NoAddress, word("10.0.0.0/33"), 4));
    assert_eq!(wrong("package:<3"), (ErrorKind::NoPackage, word("<3"), 9));
    assert_eq!(wrong("name<a"), (ErrorKind::NotComparable, word("name"), 1));
    assert_eq!(wrong("a \"b"), (ErrorKind::OpenQuote, word("\""), 3));
    assert_eq!(wrong("a (b"), (ErrorKind::OpenParenthesis, word("("), 3));
    assert_eq!(wrong("a or"), (ErrorKind::MissingTest, word("or"), 3));
    assert_eq!(wrong("a ( )"), (ErrorKind::MissingTest, word("("), 3));
    assert_eq!(wrong("a) b"), (ErrorKind::Unexpected, word(")"), 2));
    assert_eq!(wrong("or a"), (ErrorKind::Unexpected, word("or"), 1));
    assert_eq!(wrong(&"(".repeat(40)).0, ErrorKind::TooLarge);
    assert_eq!(wrong(&"a ".repeat(200)).0, ErrorKind::TooLarge);
    assert_eq!(wrong(&"a".repeat(3000)).0, ErrorKind::TooLarge);
}

#[test]
fn addresses_are_bare_words_even_when_they_begin_like_a_field() {
    assert_eq!(parse("fe80::1").unwrap(), parse("\"fe80::1\"").unwrap());
    assert_eq!(parse("aa:bb").unwrap().to_string(), "\"aa:bb\"");
}

fn arbitrary_test() -> impl Strategy<Value = Test> {
    let text = prop_oneof!["[a-z*]{1,6}", "[ -~äß]{0,8}"];
    let comparison = prop_oneof![
        Just(Comparison::Less),
        Just(Comparison::AtMost),
        Just(Comparison::Equal),
        Just(Comparison::AtLeast),
        Just(Comparison::More)
    ];
    prop_oneof![
        text.clone().prop_map(Test::Word),
        text.prop_map(|text| Test::Text(Text::Model, Pattern(text))),
        "[0-9a-f]{2}(:[0-9a-f]{2}){0,3}".prop_map(|mac| Test::Text(Text::Mac, Pattern(mac))),
        any::<(IpAddr, u8)>().prop_map(|(address, prefix)| Test::Network(address, prefix % 33)),
        Just(Test::Stage(Stage::Installing)),
        Just(Test::Health(HealthWord::Offline)),
        Just(Test::Activity(ActivityWord::Idle)),
        ("[a-z*.+-]{1,6}", proptest::option::of((comparison.clone(), "[0-9a-z.+~:-]{1,8}")))
            .prop_map(|(name, version)| Test::Package(Pattern(name), version)),
        (comparison.clone(), 0..u64::MAX / 2).prop_map(|(comparison, bytes)| Test::Number(
            Number::Disk,
            comparison,
            bytes
        )),
        (comparison.clone().prop_filter("see Age", |c| *c != Comparison::Equal), 0..9_999_999_i64)
            .prop_map(|(comparison, age)| Test::Age(Age::Seen, comparison, age * 1_000_000)),
        (comparison.prop_filter("that is a pattern", |c| *c != Comparison::Equal), "[0-9a-z.+~:-]{1,8}")
            .prop_map(|(comparison, version)| Test::Agent(comparison, version)),
        Just(Test::NeverSeen),
        any::<bool>().prop_map(|holds| Test::Flag(Flag::SecurityUpdates, holds)),
        any::<bool>().prop_map(|holds| Test::Flag(Flag::RebootNeeded, holds)),
        any::<bool>().prop_map(|holds| Test::Flag(Flag::Drift, holds)),
        "[a-z*-]{1,6}".prop_map(|name| Test::Text(Text::Selection, Pattern(name))),
    ]
}

fn arbitrary() -> impl Strategy<Value = Expr> {
    let test = arbitrary_test().prop_map(|test| Expr::Test(test, Span(0..0)));
    test.prop_recursive(4, 24, 4, |inside| {
        prop_oneof![
            proptest::collection::vec(inside.clone(), 2..4).prop_map(Expr::All),
            proptest::collection::vec(inside.clone(), 2..4).prop_map(Expr::Any),
            inside.prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_the_same(expr in arbitrary()) {
        prop_assert_eq!(parse(&expr.to_string()).map_err(|error| error.to_string()), Ok(expr));
    }

    #[test]
    fn whatever_is_typed_is_read_or_refused_and_what_is_read_prints_the_same(
        text in "([ ()\"a-z:<>=0-9.*\\\\]|stage:|not |or |package:|memory<|4G|ip:|ä){0,20}"
    ) {
        match parse(&text) {
            Ok(expr) => prop_assert_eq!(parse(&expr.to_string()), Ok(expr)),
            Err(error) => prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}"),
        }
    }
}
