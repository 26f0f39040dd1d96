//! Decoders. Each is small, total and tried on tokens that a rewrite adds.

/// Readings of one token under encodings of text as bytes.
pub(super) fn decode(token: &str) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut push = |how, bytes: Option<Vec<u8>>| {
        let text = bytes
            .and_then(|b| String::from_utf8(b).ok())
            .filter(|t| is_printable(t));
        out.extend(text.map(|t| (how, t)));
    };
    if token.len() >= 4 {
        push("base64 text", base64(token));
    }
    if token.len() >= 8 {
        push("base32 text", base32(token));
    }
    if token.len() >= 4 {
        push("hexadecimal text", hex(token));
    }
    out
}

/// Reads one part as one character.
type Reader = fn(&str) -> Option<char>;

/// Readings of rows of tokens that are one character each: codes, bits, Morse.
pub(super) fn decode_groups(tokens: &[&str]) -> Vec<(&'static str, String)> {
    // Groups may stand apart ("80 97") or joined ("80-97", "80,97"). Morse keeps its dashes.
    let parts: Vec<&str> = tokens
        .iter()
        .flat_map(|t| t.split(['-', ',', '/', '_', '|', '+']))
        .filter(|p| !p.is_empty())
        .collect();
    let readers: [(&'static str, Reader); 4] = [
        ("character codes", |p| code(p, 10)),
        ("hexadecimal codes", |p| {
            if p.len() == 2 { code(p, 16) } else { None }
        }),
        ("bits", |p| if p.len() >= 7 { code(p, 2) } else { None }),
        ("numbers for letters", place),
    ];
    let mut out: Vec<_> = readers
        .iter()
        .flat_map(|(how, read)| runs(&parts, *read).into_iter().map(|t| (*how, t)))
        .collect();
    let marks: Vec<&str> = tokens.iter().flat_map(|t| t.split(['/', '|'])).collect();
    out.extend(runs(&marks, morse).into_iter().map(|t| ("Morse code", t)));
    out
}

/// Stretches of at least three parts that a reader understands.
fn runs(parts: &[&str], read: Reader) -> Vec<String> {
    let mut out = vec![String::new()];
    for part in parts {
        match (read(part), out.last_mut()) {
            (Some(c), Some(run)) => run.push(c),
            (None, Some(run)) if !run.is_empty() => out.push(String::new()),
            _ => {}
        }
    }
    out.retain(|run| run.chars().count() >= 3);
    out
}

fn code(part: &str, radix: u32) -> Option<char> {
    let code = u32::from_str_radix(part, radix).ok()?;
    char::from_u32(code).filter(|c| c.is_ascii() && !c.is_ascii_control())
}

fn place(part: &str) -> Option<char> {
    let place: u8 = part.parse().ok()?;
    (1..=26)
        .contains(&place)
        .then(|| char::from(b'a' + place - 1))
}

const MORSE: [&str; 26] = [
    ".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--",
    "-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--..",
];

fn morse(part: &str) -> Option<char> {
    let place = MORSE.iter().position(|m| *m == part)?;
    u8::try_from(place).ok().map(|p| char::from(b'a' + p))
}

fn is_printable(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_control() && (c.is_ascii() || c.is_alphabetic()))
}

/// Text that someone meant to be read: mostly letters, words of plausible length, vowels among them.
pub(super) fn is_readable(text: &str) -> bool {
    let letters = text.chars().filter(char::is_ascii_lowercase).count();
    let vowels = text.chars().filter(|c| "aeiou".contains(*c)).count();
    text.is_ascii() && letters * 4 >= text.len() * 3 && vowels * 5 >= letters
}

fn base64(token: &str) -> Option<Vec<u8>> {
    let body = token.trim_end_matches('=');
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    if body.len() % 4 == 1 {
        None
    } else {
        unpack(body, 6, value)
    }
}

fn base32(token: &str) -> Option<Vec<u8>> {
    let value = |b: u8| match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'2'..=b'7' => Some(b - b'2' + 26),
        _ => None,
    };
    unpack(token.trim_end_matches('='), 5, value)
}

fn unpack(body: &str, bits: u32, value: impl Fn(u8) -> Option<u8>) -> Option<Vec<u8>> {
    let (mut pool, mut held, mut out) = (0u32, 0u32, Vec::with_capacity(body.len()));
    for b in body.bytes() {
        pool = (pool << bits | u32::from(value(b)?)) & 0xffff;
        held += bits;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(pool >> held & 0xff).ok()?);
        }
    }
    Some(out)
}

/// "5061", "0x5061", "\x50\x61", "%50%61", "50:61".
fn hex(token: &str) -> Option<Vec<u8>> {
    let token = token.strip_prefix("0x").unwrap_or(token);
    let digits: String = token
        .replace("\\x", "")
        .chars()
        .filter(|c| !matches!(c, '%' | ':' | '-'))
        .collect();
    if digits.len() < 4 || digits.len() % 2 == 1 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok())
        .collect()
}

/// A token that mixes letters with digits or signs, those read as the letters they resemble.
pub(super) fn unleet(token: &str) -> Option<String> {
    let (mut letters, mut signs, mut out) = (0, 0, String::with_capacity(token.len()));
    for c in token.chars() {
        let read = match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '6' => 'g',
            '7' | '+' => 't',
            '8' => 'b',
            c if c.is_ascii_alphabetic() => {
                letters += 1;
                out.push(c.to_ascii_lowercase());
                continue;
            }
            _ => continue,
        };
        signs += 1;
        out.push(read);
    }
    (signs > 0 && letters > 0).then_some(out)
}

/// Whether one is the other with all letters shifted alike (Caesar, ROT13), but not equal.
pub(super) fn is_rotated(word: &str, answer: &str) -> bool {
    let shift = |(a, b): (u8, u8)| (i32::from(a) - i32::from(b)).rem_euclid(26);
    word.len() == answer.len()
        && word.len() >= 4
        && word.bytes().all(|b| b.is_ascii_lowercase())
        && {
            let mut shifts = word.bytes().zip(answer.bytes()).map(shift);
            let first = shifts.next().unwrap_or(0);
            first != 0 && shifts.all(|s| s == first)
        }
}

/// The mirrored alphabet: a for z, b for y.
pub(super) fn atbash(word: &str) -> String {
    let mirror = |c: char| {
        if c.is_ascii_lowercase() {
            char::from(b'a' + b'z' - c as u8)
        } else {
            c
        }
    };
    word.chars().map(mirror).collect()
}

/// A number in binary, octal or hexadecimal notation with its prefix, or in Roman numerals (two or more).
pub(super) fn other_notation(token: &str) -> Option<f64> {
    let prefixed = [("0b", 2), ("0o", 8), ("0x", 16)];
    for (prefix, radix) in prefixed {
        if let Some(digits) = token.strip_prefix(prefix) {
            return u32::from_str_radix(digits, radix).ok().map(f64::from);
        }
    }
    roman(token)
}

fn roman(token: &str) -> Option<f64> {
    if token.len() < 2 {
        return None;
    }
    let value = |c| match c {
        'I' => Some(1),
        'V' => Some(5),
        'X' => Some(10),
        'L' => Some(50),
        'C' => Some(100),
        'D' => Some(500),
        'M' => Some(1000),
        _ => None,
    };
    let values: Vec<i32> = token.chars().map(value).collect::<Option<_>>()?;
    let next = values.iter().skip(1).chain(std::iter::once(&0));
    Some(f64::from(
        values
            .iter()
            .zip(next)
            .map(|(v, n)| if v < n { -v } else { *v })
            .sum::<i32>(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        assert_eq!(other_notation("0b101010"), Some(42.0));
        assert_eq!(other_notation("XLII"), Some(42.0));
        assert_eq!(other_notation("I"), None);
    }

    #[test]
    fn rotations() {
        assert!(is_rotated("cnevf", "paris"));
        assert!(!is_rotated("paris", "paris"));
    }
}
