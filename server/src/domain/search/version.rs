//! Versions of Debian packages as texts whose order byte by byte is the order of the versions (deb-version(7)).
//!
//! Invariant: `key(a) < key(b)` exactly when dpkg says that `a` is older than `b`, so that databases can compare, sort and index.

/// The key of a version.
///
/// Characters stand for themselves but for these, in the order that dpkg gives them: `!` for a tilde, `#` for the end of a part without
/// digits, letters, then `{|}~` for `+ - . :`. Numbers have their length before them. What is no version gets a key, too, in some order.
pub fn key(version: &str) -> String {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
        _ => ("", version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let mut key = String::with_capacity(version.len() * 2 + 8);
    number(epoch, &mut key);
    part(upstream, &mut key);
    part(revision, &mut key);
    key
}

fn part(mut text: &str, key: &mut String) {
    loop {
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (word, rest) = text.split_at(digits);
        key.extend(word.chars().map(placed));
        key.push('#');
        let word = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(word);
        number(digits, key);
        text = rest;
        if text.is_empty() {
            break;
        }
    }
    // Nothing at all comes before everything but a tilde.
    key.push('#');
}

fn placed(character: char) -> char {
    match character {
        '~' => '!',
        letter if letter.is_ascii_alphabetic() => letter,
        '+' => '{',
        '-' => '|',
        '.' => '}',
        _ => '~',
    }
}

fn number(digits: &str, key: &mut String) {
    let digits = digits.trim_start_matches('0');
    let digits = &digits[..digits.len().min(99)];
    key.push_str(&format!("{:02}{digits}", digits.len()));
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::key;

    /// As `verrevcmp` of dpkg does it, character by character.
    fn compare_part(a: &str, b: &str) -> Ordering {
        let order = |c: Option<&char>| match c {
            None => 0,
            Some(c) if c.is_ascii_digit() => 0,
            Some(c) if c.is_ascii_alphabetic() => i64::from(u32::from(*c)),
            Some('~') => -1,
            Some(c) => i64::from(u32::from(*c)) + 256,
        };
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            while a.get(i).is_some_and(|c| !c.is_ascii_digit())
                || b.get(j).is_some_and(|c| !c.is_ascii_digit())
            {
                match order(a.get(i)).cmp(&order(b.get(j))) {
                    Ordering::Equal => (i, j) = (i + 1, j + 1),
                    other => return other,
                }
            }
            let digits = |text: &[char], from: usize| {
                text[from.min(text.len())..].iter().take_while(|c| c.is_ascii_digit()).collect::<String>()
            };
            let (left, right) = (digits(&a, i), digits(&b, j));
            (i, j) = (i + left.len(), j + right.len());
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            match left.len().cmp(&right.len()).then(left.cmp(right)) {
                Ordering::Equal => {}
                other => return other,
            }
        }
        Ordering::Equal
    }

    fn compare(a: &str, b: &str) -> Ordering {
        let split = |version: &str| {
            let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
            let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
            (epoch.parse::<u64>().unwrap(), upstream.to_owned(), revision.to_owned())
        };
        let ((e, u, r), (f, v, s)) = (split(a), split(b));
        e.cmp(&f).then(compare_part(&u, &v)).then(compare_part(&r, &s))
    }

    #[test]
    fn versions_are_ordered_as_the_manual_says() {
        let rising = [
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0~rc1",
            "1.0",
            "1.0-1",
            "1.0a",
            "1.0+b1",
            "1.0.1",
            "1.2",
            "1.10",
            "2.0-1~deb12u1",
            "2.0-1",
            "2.0-1+b2",
            "2.0-10",
            "1:0.1",
        ];
        for pair in rising.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        assert_eq!(key("1.0"), key("1.0-0"));
        assert_eq!(key("1.01"), key("1.1"));
        assert_eq!(key("0:1"), key("1"));
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_dpkg_orders_versions(
            a in "([0-3]:)?[0-9]{1,2}[0-9a-cA.+~]{0,6}(-[0-9a-c+~]{1,4})?",
            b in "([0-3]:)?[0-9]{1,2}[0-9a-cA.+~]{0,6}(-[0-9a-c+~]{1,4})?",
        ) {
            prop_assert_eq!(key(&a).cmp(&key(&b)), compare(&a, &b));
        }
    }
}
