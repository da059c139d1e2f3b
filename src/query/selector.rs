//! Selectors as Prometheus writes them: `disk_used{host=~"web-.*"}`, `{job="node"}`, `{"a.b", host="x"}`.
//!
//! In: the text. Out: a [`Selector`]. promql-parser decides what is valid; since it does not say where an invalid
//! text goes wrong, a small scanner of the same grammar finds the place for the error.

use std::borrow::Cow;

use promql_parser::label::{MatchOp as PromOp, Matcher as PromMatcher};
use promql_parser::parser::{self, Expr, VectorSelector};

use super::error::QueryError;
use crate::series::{METRIC_NAME, MatchOp, Matcher, Selector};

/// Longer texts are not selectors but accidents.
const MAX_LEN: usize = 16 << 10;
/// promql-parser recurses, and so deep parentheses must not reach it. No selector has any.
const MAX_NESTING: usize = 64;

/// Reads a selector; at least one of its matchers must refuse the empty value, as in Prometheus.
///
/// # Errors
/// When it is not valid, or is more than a selector: a function, a range, an offset.
pub fn parse_selector(text: &str) -> Result<Selector, QueryError> {
    let trimmed = text.trim();
    let fail = |position: usize, reason: &str| QueryError::Selector {
        text: text.chars().take(200).collect(),
        position,
        reason: reason.to_owned(),
    };
    if trimmed.is_empty() {
        return Err(fail(1, "it is empty"));
    }
    if trimmed.len() > MAX_LEN
        || trimmed.bytes().filter(|byte| matches!(byte, b'(' | b'-' | b'+')).count() > MAX_NESTING * 8
    {
        return Err(fail(1, "it is far too long"));
    }
    if nesting(trimmed) > MAX_NESTING {
        return Err(fail(1, "it is nested too deep"));
    }
    let not_selector = |what| QueryError::NotSelector { text: text.chars().take(200).collect(), what };
    let parsed = parser::parse(&without_backticks(trimmed)).map_err(|reason| {
        let (at, found) = scan(trimmed);
        let position = text.chars().count() - text.trim_start().chars().count() + trimmed[..at].chars().count() + 1;
        if reason.contains("at least one non-empty matcher") {
            return fail(1, "it would select everything; at least one matcher must name a value");
        }
        match found {
            Some(found) => fail(position, &found),
            None => fail(position, &reason),
        }
    })?;
    let selector = match parsed {
        Expr::VectorSelector(selector) => selector,
        Expr::MatrixSelector(_) => return Err(not_selector("a range; leave out the part in [...]")),
        Expr::Subquery(_) => return Err(not_selector("a subquery")),
        Expr::Aggregate(_) => return Err(not_selector("an aggregation")),
        Expr::Call(_) => return Err(not_selector("a function call")),
        Expr::Binary(_) => return Err(not_selector("a calculation")),
        Expr::Unary(_) => return Err(not_selector("a negation")),
        Expr::Paren(_) => return Err(not_selector("an expression in parentheses; leave them out")),
        Expr::NumberLiteral(_) => return Err(not_selector("a number")),
        Expr::StringLiteral(_) => return Err(not_selector("a string")),
        Expr::Extension(_) => return Err(not_selector("an extension of PromQL")),
    };
    let VectorSelector { name, matchers, offset, at } = selector;
    if offset.is_some() {
        return Err(not_selector("a selector with an offset; give the time instead"));
    }
    if at.is_some() {
        return Err(not_selector("a selector with @; give the time instead"));
    }
    if !matchers.or_matchers.is_empty() {
        return Err(not_selector("a selector with `or`; ask twice"));
    }
    let by_name = name.map(|name| Matcher::new(METRIC_NAME, MatchOp::Equal, name));
    let matchers = by_name.into_iter().chain(matchers.matchers.into_iter().map(convert)).collect::<Result<Vec<_>, _>>();
    let matchers = matchers.map_err(|error| fail(1, &error.to_string()))?;
    if matchers.iter().all(|matcher| matcher.matches("")) {
        return Err(fail(1, "it would select everything; at least one matcher must name a value"));
    }
    Ok(Selector { matchers })
}

fn convert(matcher: PromMatcher) -> Result<Matcher, crate::series::MatcherError> {
    let op = match matcher.op {
        PromOp::Equal => MatchOp::Equal,
        PromOp::NotEqual => MatchOp::NotEqual,
        PromOp::Re(_) => MatchOp::Regex,
        PromOp::NotRe(_) => MatchOp::NotRegex,
    };
    Matcher::new(matcher.name, op, matcher.value)
}

/// Backtick strings rewritten in double quotes: promql-parser 0.11 stumbles over backslashes between backticks,
/// which is where people write regular expressions.
fn without_backticks(text: &str) -> Cow<'_, str> {
    if !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let (mut rewritten, mut quote) = (String::with_capacity(text.len() + 16), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '`') => {
                quote = Some('`');
                rewritten.push('"');
            }
            (Some('`'), '`') => {
                quote = None;
                rewritten.push('"');
            }
            (Some('`'), '\\' | '"') => rewritten.extend(['\\', c]),
            (Some('`'), '\n') => rewritten.push_str("\\n"),
            (Some(_), '\\') => {
                rewritten.push(c);
                rewritten.extend(chars.next());
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                rewritten.push(c);
            }
            (Some(open), _) => {
                if c == open {
                    quote = None;
                }
                rewritten.push(c);
            }
            (None, _) => rewritten.push(c),
        }
    }
    Cow::Owned(rewritten)
}

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Where a text stops being a selector, in bytes, and what stands in the way; `None` when nothing does.
fn scan(text: &str) -> (usize, Option<String>) {
    let mut scanner = Scanner { text, at: 0 };
    let found = scanner.selector().err();
    (scanner.at, found)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn selector(&mut self) -> Result<(), String> {
        let has_name = self.name(true);
        self.spaces();
        if self.peek() == Some('{') {
            self.at += 1;
            self.matchers()?;
            self.spaces();
        } else if !has_name {
            return self.unexpected("a metric name or {");
        }
        if self.at < self.text.len() { self.unexpected("the end") } else { Ok(()) }
    }

    fn matchers(&mut self) -> Result<(), String> {
        loop {
            self.spaces();
            if self.eat("}") {
                return Ok(());
            }
            let is_quoted = matches!(self.peek(), Some('"' | '\''));
            if is_quoted {
                self.string()?;
            } else if !self.name(false) {
                return self.unexpected("a label name or }");
            }
            self.spaces();
            if ["=~", "!~", "!=", "="].into_iter().any(|op| self.eat(op)) {
                self.spaces();
                if !matches!(self.peek(), Some('"' | '\'' | '`')) {
                    return self.unexpected("a value in quotes");
                }
                let start = self.at;
                self.string()?;
                // promql-parser refused; a broken regular expression is the most likely reason.
                let value = &self.text[start + 1..self.at - 1];
                if self.text[..start].trim_end().ends_with('~') && regex::Regex::new(value).is_err() {
                    self.at = start;
                    return Err(format!("the regular expression `{value}` is not valid"));
                }
            } else if !is_quoted {
                return self.unexpected("one of = != =~ !~");
            }
            self.spaces();
            if !self.eat(",") && self.peek() != Some('}') {
                return self.unexpected("a comma or }");
            }
        }
    }

    fn string(&mut self) -> Result<(), String> {
        let start = self.at;
        let mut chars = self.text[start..].char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        while let Some((idx, c)) = chars.next() {
            if c == '\\' && quote != Some('`') {
                chars.next();
            } else if Some(c) == quote {
                self.at = start + idx + c.len_utf8();
                return Ok(());
            }
        }
        Err("a quote is opened and never closed".to_owned())
    }

    fn name(&mut self, colon: bool) -> bool {
        let start = self.at;
        while let Some(c) = self.peek() {
            let fits =
                c.is_ascii_alphabetic() || c == '_' || (colon && c == ':') || (self.at > start && c.is_ascii_digit());
            if !fits {
                break;
            }
            self.at += 1;
        }
        self.at > start
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let has = self.text[self.at..].starts_with(token);
        if has {
            self.at += token.len();
        }
        has
    }

    fn unexpected(&self, expected: &str) -> Result<(), String> {
        Err(match self.peek() {
            Some(c) => format!("found `{c}` where {expected} belongs"),
            None => format!("it ends where {expected} belongs"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Key;

    fn check(text: &str, expected: &str) {
        assert_eq!(parse_selector(text).unwrap().to_string(), expected);
    }

    fn refuses(text: &str, words: &[&str]) {
        let error = parse_selector(text).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{error} does not say {word}");
        }
    }

    #[test]
    fn plain_selectors_are_understood() {
        check("up", "{__name__=\"up\"}");
        check(" job:rate5m ", "{__name__=\"job:rate5m\"}");
        check("disk_used{host=~\"a.*\", mount!='/',}", "{__name__=\"disk_used\",host=~\"a.*\",mount!=\"/\"}");
        check("{job=\"a\",x!~`b\\d`}", "{job=\"a\",x!~\"b\\\\d\"}");
        check("{__name__=~\".+\"}", "{__name__=~\".+\"}");
        check("{\"a.b\", \"c d\"=\"e\"}", "{__name__=\"a.b\",c d=\"e\"}");
        check("up{host=\"a}=b\"}", "{__name__=\"up\",host=\"a}=b\"}");
    }

    #[test]
    fn a_key_s_text_selects_that_key() {
        for key in [
            Key::from_pairs("up", &[("job", "node"), ("path", "C:\\x \"y\"\n")]).unwrap(),
            Key::from_pairs("a b", &[("c.d", "é\u{301}\u{0}\u{7f}")]).unwrap(),
            Key::from_pairs("up", &[]).unwrap(),
        ] {
            let selector = parse_selector(&key.to_string()).unwrap();
            assert!(selector.matches(key.labels()), "{key}");
        }
    }

    #[test]
    fn what_is_wrong_and_where_is_told() {
        refuses("", &["is empty", "disk_used{host"]);
        refuses("{}", &["select everything"]);
        refuses("{host=\"\"}", &["select everything"]);
        refuses("{host=~\".*\"}", &["select everything"]);
        refuses("up{host=a}", &["`up{host=a}`", "found `a` where a value in quotes belongs at character 9"]);
        refuses("up{host=\"a\"", &["it ends where a comma or } belongs at character 12"]);
        refuses("  up{host \"a\"}", &["one of = != =~ !~", "character 11"]);
        refuses("up{host=\"a}", &["never closed", "character 9"]);
        refuses("up}", &["found `}` where the end belongs at character 3"]);
        refuses("up{host=~\"(\"}", &["regular expression `(`"]);
        refuses("up{ü=\"1\"}", &["found `ü`", "character 4"]);
        refuses("1up", &["found `1` where a metric name or { belongs at character 1"]);
    }

    #[test]
    fn promql_beyond_selectors_is_named() {
        for (text, what) in [
            ("rate(up[5m])", "a function call"),
            ("up[5m]", "a range"),
            ("up offset 5m", "an offset"),
            ("up @ 5", "with @"),
            ("sum(up)", "an aggregation"),
            ("up + 1", "a calculation"),
            ("-up", "a negation"),
            ("(up)", "parentheses"),
            ("5", "a number"),
            ("\"up\"", "a string"),
            ("up[5m:1m]", "a subquery"),
            ("up{a=\"1\" or b=\"2\"}", "`or`"),
        ] {
            refuses(text, &[what, "only plain selectors"]);
        }
    }

    #[test]
    fn hostile_texts_are_refused_without_a_crash() {
        for text in
            ["(".repeat(100_000), "-".repeat(10_000), "up{".repeat(5_000), "a".repeat(1 << 20), "\u{0}".to_owned()]
        {
            assert!(parse_selector(&text).is_err());
        }
    }
}
