//! Which rooms a source file uses, and which ones ARCHITECTURE.md lets it use.

/// One row of the list of rooms.
#[derive(Debug)]
pub struct Room {
    pub name: String,
    /// The rooms it may use, in the list's order.
    pub uses: Vec<String>,
}

impl Room {
    pub fn may_use(&self, other: &str) -> bool {
        other == self.name || self.uses.iter().any(|used| used == other)
    }
}

/// Reads the table whose head is `| room | it answers | it may use |`. The third column says `nobody`, `all above`,
/// `all above but` some, or names rooms in backticks.
pub fn parse_rooms(document: &str) -> Result<Vec<Room>, String> {
    let mut lines = document.lines().skip_while(|line| cells(line) != ["room", "it answers", "it may use"]);
    lines.next().ok_or("no table with the columns room, it answers, it may use")?;
    let mut rooms: Vec<Room> = Vec::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells = cells(line);
        let [room, _, permission] = cells[..] else { return Err(format!("not three columns: {line}")) };
        let name = room.trim_matches('`').trim_end_matches('/').trim_end_matches(".rs").to_string();
        let above: Vec<String> = rooms.iter().map(|room| room.name.clone()).collect();
        let named: Vec<String> = permission.split('`').skip(1).step_by(2).map(ToString::to_string).collect();
        if let Some(stranger) = named.iter().find(|named| !above.contains(named)) {
            return Err(format!("`{name}` names `{stranger}`, which does not stand above it"));
        }
        let uses = if permission == "nobody" {
            Vec::new()
        } else if permission == "all above" || permission.starts_with("all above but `") {
            above.into_iter().filter(|room| !named.contains(room)).collect()
        } else if permission.starts_with('`') {
            named
        } else {
            return Err(format!("`{name}` may use {permission:?}, which this test cannot read"));
        };
        rooms.push(Room { name, uses });
    }
    if rooms.is_empty() { Err("the list of rooms is empty".to_string()) } else { Ok(rooms) }
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// A path that leaves the file's room: the room it leads to (`*` for the whole crate) and where it stands.
#[derive(Debug)]
pub struct Used {
    pub name: String,
    pub line: usize,
}

/// Every path in `source`, the file of module `module`, that leads into another room of the crate: through `crate::`,
/// through `barograph::`, or through enough `super::`, alone or in a group.
pub fn outward_uses(module: &[String], source: &str) -> Vec<Used> {
    let tokens = tokens(source);
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // Inline modules around the current token, with the brace depth they opened at.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut i = 0;
    while i < tokens.len() {
        match word(i) {
            "mod" if word(i + 2) == "{" => {
                inline.push((word(i + 1).to_string(), depth));
                depth += 1;
                i += 2;
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
            }
            "crate" | "barograph" if word(i + 1) == "::" => first_segments(&tokens, i + 2, &mut found),
            "crate" if word(i + 1) == "as" => found.push(Used { name: "*".to_string(), line: tokens[i].line }),
            "super" if word(i + 1) == "::" => {
                let mut levels = module.len() + inline.len() - 1;
                let mut next = i + 2;
                while word(next) == "super" && word(next + 1) == "::" {
                    levels = levels.saturating_sub(1);
                    next += 2;
                }
                // At the crate's root, what follows is a room.
                if levels == 0 {
                    first_segments(&tokens, next, &mut found);
                }
                // The loop below must not take the second `super` for the first of another path.
                i = next - 1;
            }
            _ => {}
        }
        i += 1;
    }
    found.retain(|used| used.name != module[0]);
    found
}

/// The first segment of a path, or of each path of a group, beginning at token `i`.
fn first_segments(tokens: &[Token], i: usize, found: &mut Vec<Used>) {
    let Some(first) = tokens.get(i) else { return };
    if first.text != "{" {
        // `self` inside a group, and `crate::{self as x}`, mean the whole crate.
        let name = if first.text == "self" { "*" } else { &first.text };
        found.push(Used { name: name.to_string(), line: first.line });
        return;
    }
    let mut depth = 0;
    let mut is_first = false;
    for (offset, token) in tokens[i..].iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                depth += 1;
                is_first = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            "," => is_first = depth == 1,
            _ if is_first => {
                first_segments(tokens, i + offset, found);
                is_first = false;
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Words, `::`, and single characters; comments, strings and character literals are left out.
fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut i = 0;
    while i < text.len() {
        let start = i;
        let c = text[i];
        if c == '/' && at(i + 1) == '/' {
            while i < text.len() && text[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block_comment(&text, i);
        } else if let Some(end) = after_raw_string(&text, i) {
            i = end;
        } else if c == '"' {
            i += 1;
            while i < text.len() && text[i] != '"' {
                i += if text[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character, not a lifetime.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < text.len() && text[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            tokens.push(Token { text: text[start..i].iter().collect(), line });
        } else {
            i += if c == ':' && at(i + 1) == ':' { 2 } else { 1 };
            if !c.is_whitespace() {
                tokens.push(Token { text: text[start..i].iter().collect(), line });
            }
        }
        line += text[start..i.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn after_block_comment(text: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i + 1 < text.len() {
        match (text[i], text[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    text.len()
}

/// The end of a raw string (`r"…"`, `br##"…"##`) that begins at `i`, if one does.
fn after_raw_string(text: &[char], i: usize) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if i > 0 && is_word(text[i - 1]) {
        return None;
    }
    let mut next = i + usize::from(text[i] == 'b');
    if text.get(next) != Some(&'r') {
        return None;
    }
    next += 1;
    let hashes = text[next..].iter().take_while(|c| **c == '#').count();
    next += hashes;
    if text.get(next) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let rest = &text[next + 1..];
    let end = rest.windows(closing.len()).position(|window| window == closing);
    Some(end.map_or(text.len(), |end| next + 1 + end + closing.len()))
}
