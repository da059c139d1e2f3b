//! `${VAR}` and `${VAR:-default}` in the configuration text, before it is read as YAML.
//!
//! In: the text and a way to look variables up. Out: the text with the values in place. `$$` is a dollar sign,
//! comments are left alone, and inside quotes a value is escaped, so that a password cannot become YAML.

/// A reference that cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExpandError {
    /// Line, from 1.
    pub(super) line: usize,
    /// Column in characters, from 1.
    pub(super) column: usize,
    /// What is wrong and what to do.
    pub(super) reason: String,
}

/// Which kind of YAML text the scan stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Plain,
    Single,
    Double,
    Comment,
}

/// Replaces every reference outside comments; `lookup` answers `None` for a variable that is not set.
pub(super) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let (mut line, mut column) = (1, 1);
    let mut inside = Inside::Plain;
    // The last character that is not a space: a quote opens a string only where a value may begin.
    let mut before = '\n';
    let mut previous = '\n';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let fail = |reason: String| ExpandError { line, column, reason };
        let mut taken = c.len_utf8();
        match (inside, c) {
            (Inside::Comment, '\n') => inside = Inside::Plain,
            (Inside::Plain, '#') if previous.is_whitespace() => inside = Inside::Comment,
            (Inside::Plain, '"') if opens_value(before) => inside = Inside::Double,
            (Inside::Plain, '\'') if opens_value(before) => inside = Inside::Single,
            (Inside::Double, '"') | (Inside::Single, '\'') => inside = Inside::Plain,
            (Inside::Double, '\\') => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        if c == '$' && inside != Inside::Comment {
            if rest[1..].starts_with('$') {
                out.push('$');
                taken = 2;
            } else if rest[1..].starts_with('{') {
                let close = rest.find(['}', '\n']).filter(|&at| rest[at..].starts_with('}'));
                let close = close.ok_or_else(|| fail("`${` without `}` on the same line; write ${NAME} or ${NAME:-default}, and $$ for a dollar sign".to_owned()))?;
                let value = resolve(&rest[2..close], lookup).map_err(fail)?;
                push_value(&mut out, &value, inside).map_err(fail)?;
                taken = close + 1;
            } else {
                out.push('$');
            }
        } else {
            out.push_str(&rest[..taken]);
        }
        for passed in rest[..taken].chars() {
            if passed == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
            if !passed.is_whitespace() || passed == '\n' {
                before = passed;
            }
            previous = passed;
        }
        rest = &rest[taken..];
    }
    Ok(out)
}

fn opens_value(before: char) -> bool {
    matches!(before, '\n' | ':' | '-' | ',' | '[' | '{')
}

fn resolve(reference: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err(format!("`{name}` is not a variable's name; write ${{NAME}} or ${{NAME:-default}}"));
    }
    // As in a shell, `:-` stands in for an empty variable too.
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the environment variable {name} is not set; set it, or give a default: ${{{name}:-default}}"))
        }
    }
}

fn push_value(out: &mut String, value: &str, inside: Inside) -> Result<(), String> {
    if value.chars().any(char::is_control) {
        return Err(
            "the variable's value has line breaks or control characters, which one line of YAML cannot hold".to_owned()
        );
    }
    match inside {
        Inside::Double => out.push_str(&value.replace('\\', "\\\\").replace('"', "\\\"")),
        Inside::Single => out.push_str(&value.replace('\'', "''")),
        Inside::Plain | Inside::Comment => out.push_str(value),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, (usize, usize)>) {
        let lookup = |name: &str| match name {
            "HOME_DIR" => Some("/srv".to_owned()),
            "EMPTY" => Some(String::new()),
            "QUOTED" => Some("a\"b'c\\d # e".to_owned()),
            "LINES" => Some("a\nb".to_owned()),
            _ => None,
        };
        let got = expand(text, &lookup);
        assert_eq!(got.as_deref().map_err(|error| (error.line, error.column)), expected, "{got:?}");
    }

    #[test]
    fn references_become_values() {
        check("data: ${HOME_DIR}/x", Ok("data: /srv/x"));
        check("data: ${NOT_SET:-/tmp}/x", Ok("data: /tmp/x"));
        check("token: ${EMPTY:-other}", Ok("token: other"));
        check("token: ${EMPTY}", Ok("token: "));
        check("token: ${NOT_SET:-}", Ok("token: "));
        check("a: $$5 and $5", Ok("a: $5 and $5"));
        check("a: $${HOME_DIR}", Ok("a: ${HOME_DIR}"));
    }

    #[test]
    fn comments_are_left_alone() {
        check("a: 1 # ${NOT_SET}\n# ${\nb: 2", Ok("a: 1 # ${NOT_SET}\n# ${\nb: 2"));
        check("a: \"# ${HOME_DIR}\"", Ok("a: \"# /srv\""));
        check("a: don't # ${NOT_SET}\nb: 'it''s' # ${NOT_SET}", Ok("a: don't # ${NOT_SET}\nb: 'it''s' # ${NOT_SET}"));
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        check("a: \"${QUOTED}\"", Ok("a: \"a\\\"b'c\\\\d # e\""));
        check("a: '${QUOTED}'", Ok("a: 'a\"b''c\\d # e'"));
        check("a: ${LINES}", Err((1, 4)));
    }

    #[test]
    fn what_cannot_be_expanded_is_named_with_its_place() {
        check("a: 1\nb: ${NOT_SET}", Err((2, 4)));
        check("b: x${HOME_DIR", Err((1, 5)));
        check("b: ${}", Err((1, 4)));
        check("b: ${1A}", Err((1, 4)));
    }
}
