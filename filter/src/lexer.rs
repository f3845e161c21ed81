//! Tokens of an expression: the longest match of JavaCC's grammar `SelectorParser.jj`.
//!
//! White space, `-- to the end of the line` and `/* */` are left out. A line comment needs its line end: at the end of
//! the text `--` is two minus signs, as in Java.

/// What the text consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// `NOT`; reserved words are read in any case.
    Not,
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `BETWEEN`
    Between,
    /// `IN`
    In,
    /// `TRUE`
    True,
    /// `FALSE`
    False,
    /// `NULL`
    Null,
    /// `IS`
    Is,
    /// `CONTAINS`
    Contains,
    /// `STARTSWITH`
    StartsWith,
    /// `ENDSWITH`
    EndsWith,
    /// `0`, or digits that begin with another one and may end with `l` or `L`.
    Decimal(&'a str),
    /// Digits with a point or an exponent or both.
    Floating(&'a str),
    /// What is between the outer quotes; a quote within is doubled.
    Text(&'a str),
    /// Name of a property.
    Id(&'a str),
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `(`
    Open,
    /// `,`
    Comma,
    /// `)`
    Close,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// The text is over.
    End,
}

/// A place where no token begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoToken {
    /// Byte of the text.
    pub at: usize,
}

/// Cuts a text into tokens.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Begins at the start of the text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and the byte it begins at. After the last one, [`Token::End`] again and again.
    pub fn token(&mut self) -> Result<(Token<'a>, usize), NoToken> {
        self.skip();
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let Some(&first) = rest.first() else { return Ok((Token::End, start)) };
        let second = rest.get(1).copied();
        let (token, length) = match first {
            b'(' => (Token::Open, 1),
            b')' => (Token::Close, 1),
            b',' => (Token::Comma, 1),
            b'+' => (Token::Plus, 1),
            b'-' => (Token::Minus, 1),
            b'=' => (Token::Equal, 1),
            b'<' if second == Some(b'>') => (Token::NotEqual, 2),
            b'<' if second == Some(b'=') => (Token::LessEqual, 2),
            b'<' => (Token::Less, 1),
            b'>' if second == Some(b'=') => (Token::GreaterEqual, 2),
            b'>' => (Token::Greater, 1),
            b'\'' => {
                let length = text_length(rest).ok_or(NoToken { at: start })?;
                (Token::Text(&self.text[start + 1..start + length - 1]), length)
            }
            b'0'..=b'9' | b'.' => {
                let (length, floating) = number_length(rest).ok_or(NoToken { at: start })?;
                let image = &self.text[start..start + length];
                (if floating { Token::Floating(image) } else { Token::Decimal(image) }, length)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => {
                let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$')).count();
                (word(&self.text[start..start + length]), length)
            }
            _ => return Err(NoToken { at: start }),
        };
        self.at = start + length;
        Ok((token, start))
    }

    /// Passes over white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let skipped = match rest {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => Some(1),
                [b'-', b'-', comment @ ..] => memchr::memchr2(b'\n', b'\r', comment)
                    .map(|end| 2 + end + usize::from(comment[end..].starts_with(b"\r\n")) + 1),
                [b'/', b'*', comment @ ..] => memchr::memmem::find(comment, b"*/").map(|end| 2 + end + 2),
                _ => None,
            };
            match skipped {
                Some(bytes) => self.at += bytes,
                None => return,
            }
        }
    }
}

/// Bytes of the string that begins with this quote. A text that ends within a string leaves the last quote that can be
/// its end.
fn text_length(rest: &[u8]) -> Option<usize> {
    let mut end = None;
    let mut at = 1;
    while let Some(quote) = memchr::memchr(b'\'', &rest[at..]) {
        at += quote + 1;
        end = Some(at);
        if rest.get(at) != Some(&b'\'') {
            break;
        }
        at += 1;
    }
    end
}

/// Bytes of the number at the start, and whether it is a floating one.
fn number_length(rest: &[u8]) -> Option<(usize, bool)> {
    let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let exponent = |from: usize| -> usize {
        let Some(b'e' | b'E') = rest.get(from) else { return 0 };
        let sign = usize::from(matches!(rest.get(from + 1), Some(b'+' | b'-')));
        match digits(from + 1 + sign) {
            0 => 0,
            count => 1 + sign + count,
        }
    };
    let whole = digits(0);
    if rest.get(whole) == Some(&b'.') {
        let fraction = digits(whole + 1);
        if whole + fraction == 0 {
            return None;
        }
        let mantissa = whole + 1 + fraction;
        return Some((mantissa + exponent(mantissa), true));
    }
    match exponent(whole) {
        0 if rest[0] == b'0' => Some((1, false)),
        0 => Some((whole + usize::from(matches!(rest.get(whole), Some(b'l' | b'L'))), false)),
        exponent => Some((whole + exponent, true)),
    }
}

fn word(image: &str) -> Token<'_> {
    const RESERVED: [(&str, Token<'_>); 12] = [
        ("NOT", Token::Not),
        ("AND", Token::And),
        ("OR", Token::Or),
        ("BETWEEN", Token::Between),
        ("IN", Token::In),
        ("TRUE", Token::True),
        ("FALSE", Token::False),
        ("NULL", Token::Null),
        ("IS", Token::Is),
        ("CONTAINS", Token::Contains),
        ("STARTSWITH", Token::StartsWith),
        ("ENDSWITH", Token::EndsWith),
    ];
    let reserved = RESERVED.iter().find(|(name, _)| name.eq_ignore_ascii_case(image));
    reserved.map_or(Token::Id(image), |(_, token)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Vec<Token<'_>>, usize> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            match lexer.token() {
                Ok((Token::End, _)) => return Ok(found),
                Ok((token, _)) => found.push(token),
                Err(NoToken { at }) => return Err(at),
            }
        }
    }

    #[test]
    fn numbers_are_the_longest_that_java_knows() {
        use Token::{Decimal, Floating, Id};
        assert_eq!(tokens("0 12 12L 12l"), Ok(vec![Decimal("0"), Decimal("12"), Decimal("12L"), Decimal("12l")]));
        assert_eq!(tokens("0L 012"), Ok(vec![Decimal("0"), Id("L"), Decimal("0"), Decimal("12")]));
        assert_eq!(tokens("0x1F"), Ok(vec![Decimal("0"), Id("x1F")]));
        assert_eq!(
            tokens("1. .5 1.5e3 00.1E+2 1e-5"),
            Ok(["1.", ".5", "1.5e3", "00.1E+2", "1e-5"].map(Floating).to_vec())
        );
        assert_eq!(tokens("1e 1.5.5"), Ok(vec![Decimal("1"), Id("e"), Floating("1.5"), Floating(".5")]));
        assert_eq!(tokens("1 ."), Err(2));
    }

    #[test]
    fn strings_keep_doubled_quotes() {
        use Token::{Id, Text};
        assert_eq!(tokens("'' 'a''b' '中'"), Ok(vec![Text(""), Text("a''b"), Text("中")]));
        assert_eq!(tokens("'a"), Err(0));
        assert_eq!(tokens("'a''b"), Err(3), "the longest string that ends is 'a'");
        assert_eq!(tokens("'a'b"), Ok(vec![Text("a"), Id("b")]));
    }

    #[test]
    fn words_operators_and_comments() {
        use Token::*;
        assert_eq!(tokens("nOt notx $a_1"), Ok(vec![Not, Id("notx"), Id("$a_1")]));
        assert_eq!(tokens("<><=>=<>"), Ok(vec![NotEqual, LessEqual, GreaterEqual, NotEqual]));
        assert_eq!(tokens("a--b\r\nc/**/d/* * / **/e"), Ok(["a", "c", "d", "e"].map(Id).to_vec()));
        assert_eq!(tokens("a--b"), Ok(vec![Id("a"), Minus, Minus, Id("b")]));
        assert_eq!(tokens("a /* b"), Err(2));
        assert_eq!(tokens("a /*/ b"), Err(2));
        assert_eq!(tokens("ä"), Err(0));
    }
}
