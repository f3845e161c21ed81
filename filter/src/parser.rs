//! Reads an expression by descent through JavaCC's grammar `SelectorParser.jj`, rule by rule:
//!
//! ```text
//! or         = and (OR and)*
//! and        = equality (AND equality)*
//! equality   = comparison ((= | <>) comparison | IS [NOT] NULL)*
//! comparison = unary ((> | >= | < | <=) unary | [NOT] (CONTAINS | STARTSWITH | ENDSWITH) string
//!              | [NOT] BETWEEN unary AND unary | [NOT] IN ( string (, string)* ))*
//! unary      = + unary | - unary | NOT unary | primary
//! primary    = string | number | TRUE | FALSE | NULL | property | ( or )
//! ```
//!
//! So NOT binds tighter than a comparison, and the text need not end where the expression does.

use thiserror::Error;

use crate::expression::{Node, Order, Search, Texts};
use crate::lexer::{Lexer, NoToken, Token};
use crate::value::{Value, compare};

/// Longest expression, in bytes. Java has no bound but that of a frame.
pub const EXPRESSION_BYTES_MAX: usize = 64 << 10;
/// Deepest tree, and deepest nesting of parentheses and signs. That takes less than 1 MiB of stack even without
/// optimization; Java ends with the stack of its thread, at some thousands.
pub const DEPTH_MAX: u32 = 100;

/// Why a text is no expression, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason} at line {line}, column {column}")]
pub struct CompileError {
    /// What is wrong.
    pub reason: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in UTF-16 units, with tab stops each 8 columns: as Java counts.
    pub column: u32,
}

/// Reads a whole expression.
pub fn parse(text: &str) -> Result<Node, CompileError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let reason = format!("Expression of {} bytes is longer than {EXPRESSION_BYTES_MAX}", text.len());
        return Err(CompileError { reason, line: 1, column: 1 });
    }
    let mut parser = Parser { text, lexer: Lexer::new(text), current: Token::End, at: 0, nesting: 0 };
    parser.whole().map(|tree| *tree.node).map_err(|error| *error)
}

/// A node and the depth of its tree. Small, as is its error: each level of the descent has some of them on its stack.
struct Tree {
    node: Box<Node>,
    depth: u32,
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The token to be looked at next, and the byte it begins at.
    current: Token<'a>,
    at: usize,
    nesting: u32,
}

type Failed = Box<CompileError>;
type Parsed = Result<Tree, Failed>;

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Parsed {
        self.advance()?;
        let at = self.at;
        let root = self.or()?;
        self.condition(root, at)
    }

    fn or(&mut self) -> Parsed {
        self.chain(Token::Or, Self::and, Node::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain(Token::And, Self::equality, Node::And)
    }

    /// Operands with `operator` between them; a single one stays what it is.
    fn chain(&mut self, operator: Token<'a>, operand: fn(&mut Self) -> Parsed, join: fn(Vec<Node>) -> Node) -> Parsed {
        let mut at = self.at;
        let first = operand(self)?;
        if self.current != operator {
            return Ok(first);
        }
        let first = self.condition(first, at)?;
        let mut depth = first.depth;
        let mut operands = vec![*first.node];
        while self.current == operator {
            self.advance()?;
            at = self.at;
            let next = operand(self)?;
            let next = self.condition(next, at)?;
            depth = depth.max(next.depth);
            operands.push(*next.node);
        }
        self.tree(join(operands), depth, at)
    }

    fn equality(&mut self) -> Parsed {
        let begin = self.at;
        let mut left = self.comparison()?;
        loop {
            let operator = self.at;
            let negated = match self.current {
                Token::Equal => false,
                Token::NotEqual => true,
                Token::Is => {
                    self.advance()?;
                    let negated = self.take(Token::Not)?;
                    if !self.take(Token::Null)? {
                        return Err(self.unexpected(if negated { "NULL" } else { "NULL or NOT NULL" }));
                    }
                    left = self.negated_if(negated, Node::IsNull(left.node), left.depth, operator)?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right_at = self.at;
            let right = self.comparison()?;
            self.check_equal(&left.node, begin)?;
            self.check_equal(&right.node, right_at)?;
            if matches!(*left.node, Node::Boolean(_))
                && is_constant(&right.node)
                && !matches!(*right.node, Node::Boolean(_))
            {
                return Err(
                    self.error(operator, "TRUE and FALSE cannot be compared with a string or number".to_owned())
                );
            }
            let depth = left.depth.max(right.depth);
            left = self.negated_if(negated, Node::Equal(left.node, right.node), depth, operator)?;
        }
    }

    fn comparison(&mut self) -> Parsed {
        let begin = self.at;
        let mut left = self.unary()?;
        loop {
            let operator = self.at;
            let order = match self.current {
                Token::Greater => Order::Greater,
                Token::GreaterEqual => Order::GreaterEqual,
                Token::Less => Order::Less,
                Token::LessEqual => Order::LessEqual,
                Token::Not => {
                    self.advance()?;
                    left = match self.predicate(true, left, begin, operator)? {
                        Ok(left) => left,
                        Err(_) => return Err(self.unexpected("CONTAINS, STARTSWITH, ENDSWITH, BETWEEN or IN")),
                    };
                    continue;
                }
                _ => match self.predicate(false, left, begin, operator)? {
                    Ok(next) => {
                        left = next;
                        continue;
                    }
                    Err(left) => return Ok(left),
                },
            };
            self.advance()?;
            let right_at = self.at;
            let right = self.unary()?;
            self.check_order(&left.node, begin)?;
            self.check_order(&right.node, right_at)?;
            let depth = left.depth.max(right.depth);
            left = self.tree(Node::Compare(order, left.node, right.node), depth, operator)?;
        }
    }

    /// What NOT may precede. Gives `left` back when there is none of it.
    fn predicate(
        &mut self,
        negated: bool,
        left: Tree,
        begin: usize,
        operator: usize,
    ) -> Result<Result<Tree, Tree>, Failed> {
        let search: fn(Box<[u8]>) -> Search = match self.current {
            Token::Contains => |text| Search::Contains(Box::new(memchr::memmem::Finder::new(&text).into_owned())),
            Token::StartsWith => Search::StartsWith,
            Token::EndsWith => Search::EndsWith,
            Token::Between => return self.between(negated, left, begin, operator).map(Ok),
            Token::In => return self.in_list(negated, left, begin, operator).map(Ok),
            _ => return Ok(Err(left)),
        };
        self.advance()?;
        let text = self.string()?;
        self.tree(Node::Search(negated, search(text), left.node), left.depth, operator).map(Ok)
    }

    fn between(&mut self, negated: bool, value: Tree, begin: usize, operator: usize) -> Parsed {
        self.advance()?;
        let low_at = self.at;
        let low = self.unary()?;
        if !self.take(Token::And)? {
            return Err(self.unexpected("AND"));
        }
        let high_at = self.at;
        let high = self.unary()?;
        self.check_order(&value.node, begin)?;
        self.check_order(&low.node, low_at)?;
        self.check_order(&high.node, high_at)?;
        if let (false, Some(low), Some(high)) = (negated, number(&low.node), number(&high.node))
            && compare(high, low).is_ok_and(|compared| compared.ordering().is_lt())
        {
            let reason = "Illegal values of between, the left value must be less than or equal to the right one";
            return Err(self.error(low_at, reason.to_owned()));
        }
        let depth = value.depth.max(low.depth).max(high.depth);
        self.tree(Node::Between(negated, Box::new([value.node, low.node, high.node])), depth, operator)
    }

    fn in_list(&mut self, negated: bool, left: Tree, begin: usize, operator: usize) -> Parsed {
        self.advance()?;
        if !self.take(Token::Open)? {
            return Err(self.unexpected("\"(\""));
        }
        let mut texts = vec![self.string()?];
        while self.take(Token::Comma)? {
            texts.push(self.string()?);
        }
        if !self.take(Token::Close)? {
            return Err(self.unexpected("\",\" or \")\""));
        }
        let Node::Property(name) = *left.node else {
            return Err(self.error(begin, "Expected a property for In expression".to_owned()));
        };
        self.tree(Node::In(negated, name, Texts::new(texts)), 0, operator)
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at;
        match self.current {
            Token::Plus => {
                self.advance()?;
                self.nested(at, Self::unary)
            }
            Token::Minus => {
                self.advance()?;
                let inner = self.nested(at, Self::unary)?;
                self.tree(Node::Negate(inner.node), inner.depth, at)
            }
            Token::Not => {
                self.advance()?;
                let inner_at = self.at;
                let inner = self.nested(at, Self::unary)?;
                let inner = self.condition(inner, inner_at)?;
                self.tree(Node::Not(inner.node), inner.depth, at)
            }
            _ => self.primary(),
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at;
        let node = match self.current {
            Token::Text(image) => Node::Text(unquoted(image)),
            Token::Decimal(image) => self.decimal(image)?,
            Token::Floating(image) => self.floating(image)?,
            Token::True => Node::Boolean(Some(true)),
            Token::False => Node::Boolean(Some(false)),
            Token::Null => Node::Boolean(None),
            Token::Id(name) => Node::Property(name.into()),
            Token::Open => {
                self.advance()?;
                let inner = self.nested(at, Self::or)?;
                if !self.take(Token::Close)? {
                    return Err(self.unexpected("\")\" or an operator"));
                }
                return Ok(inner);
            }
            _ => {
                return Err(
                    self.unexpected("a property, string, number, TRUE, FALSE, NULL, NOT, \"(\", \"+\" or \"-\"")
                );
            }
        };
        self.advance()?;
        Ok(Tree { node: Box::new(node), depth: 1 })
    }

    /// A number without a point: 64 bits at most, even behind a minus sign.
    fn decimal(&self, image: &str) -> Result<Node, Failed> {
        let digits = image.trim_end_matches(['l', 'L']);
        let value: i64 = digits.parse().map_err(|_| self.error(self.at, format!("Number {digits} is out of range")))?;
        Ok(i32::try_from(value).map_or(Node::Long(value), Node::Int))
    }

    /// A number with a point: neither infinite nor, as Java has it, 0.
    fn floating(&self, image: &str) -> Result<Node, Failed> {
        // The form is one that Rust knows.
        let value: f64 = image.parse().unwrap_or(f64::INFINITY);
        if value > f64::MAX {
            return Err(self.error(self.at, format!("{image} is greater than 1.7976931348623157E308")));
        }
        if value < f64::from_bits(1) {
            return Err(self.error(self.at, format!("{image} is less than 4.9E-324")));
        }
        Ok(Node::Double(value))
    }

    fn string(&mut self) -> Result<Box<[u8]>, Failed> {
        let Token::Text(image) = self.current else { return Err(self.unexpected("a string")) };
        self.advance()?;
        Ok(unquoted(image))
    }

    /// A condition as it is, a property as one; anything else cannot be one.
    fn condition(&self, tree: Tree, at: usize) -> Parsed {
        match *tree.node {
            Node::Property(name) => Ok(Tree { node: Box::new(Node::Cast(name)), depth: tree.depth }),
            node if node.is_condition() => Ok(Tree { node: Box::new(node), depth: tree.depth }),
            _ => Err(self.error(at, "Expression will not result in a boolean value".to_owned())),
        }
    }

    fn check_equal(&self, node: &Node, at: usize) -> Result<(), Failed> {
        match node {
            Node::Boolean(None) => Err(self.error(at, "NULL cannot be compared, use IS NULL".to_owned())),
            _ => Ok(()),
        }
    }

    /// Neither strings nor conditions have an order.
    fn check_order(&self, node: &Node, at: usize) -> Result<(), Failed> {
        match node {
            Node::Text(_) => Err(self.error(at, "A string cannot be compared by '>=', '>', '<', '<='".to_owned())),
            node if node.is_condition() => {
                Err(self.error(at, "A condition cannot be compared by '>=', '>', '<', '<='".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn negated_if(&self, negated: bool, node: Node, depth: u32, at: usize) -> Parsed {
        let tree = self.tree(node, depth, at)?;
        if negated { self.tree(Node::Not(tree.node), tree.depth, at) } else { Ok(tree) }
    }

    /// A node over others of this depth.
    fn tree(&self, node: Node, depth_below: u32, at: usize) -> Parsed {
        let depth = depth_below + 1;
        if depth > DEPTH_MAX {
            return Err(self.too_deep(at));
        }
        Ok(Tree { node: Box::new(node), depth })
    }

    fn nested(&mut self, at: usize, rule: fn(&mut Self) -> Parsed) -> Parsed {
        if self.nesting >= DEPTH_MAX {
            return Err(self.too_deep(at));
        }
        self.nesting += 1;
        let tree = rule(self);
        self.nesting -= 1;
        tree
    }

    /// Goes on to the next token; what is there must be one.
    fn advance(&mut self) -> Result<(), Failed> {
        match self.lexer.token() {
            Ok((token, at)) => {
                (self.current, self.at) = (token, at);
                Ok(())
            }
            Err(NoToken { at }) => {
                let what = match self.text[at..].chars().next() {
                    Some('\'') => "Unterminated string".to_owned(),
                    Some('/') if self.text[at..].starts_with("/*") => "Unterminated comment".to_owned(),
                    other => format!("Lexical error: encountered {:?}", other.unwrap_or_default()),
                };
                Err(self.error(at, what))
            }
        }
    }

    /// Passes over `token` if it is the current one.
    fn take(&mut self, token: Token<'a>) -> Result<bool, Failed> {
        let there = self.current == token;
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn unexpected(&self, expected: &str) -> Failed {
        const SHOWN_MAX: usize = 40;
        let encountered = match self.current {
            Token::End => "<EOF>".to_owned(),
            _ => {
                let rest = &self.text[self.at..];
                let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
                format!("{:?}", rest[..end].chars().take(SHOWN_MAX).collect::<String>())
            }
        };
        self.error(self.at, format!("Encountered {encountered}, was expecting {expected},"))
    }

    fn too_deep(&self, at: usize) -> Failed {
        self.error(at, format!("Expression is nested deeper than {DEPTH_MAX} levels"))
    }

    fn error(&self, at: usize, reason: String) -> Failed {
        let (line, column) = position(self.text, at);
        Box::new(CompileError { reason, line, column })
    }
}

/// Line and column of the character at a byte.
fn position(text: &str, at: usize) -> (u32, u32) {
    const TAB: u32 = 8;
    let (mut line, mut column) = (1, 0);
    let mut before = ' ';
    // Where the text is over there is an end to point at.
    for (index, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if before == '\n' || before == '\r' && c != '\n' {
            (line, column) = (line + 1, 0);
        }
        column += 1;
        if index >= at {
            break;
        }
        if c == '\t' {
            column = (column - 1) / TAB * TAB + TAB;
        }
        column += u32::from(c.len_utf16() == 2);
        before = c;
    }
    (line, column)
}

fn is_constant(node: &Node) -> bool {
    matches!(node, Node::Text(_) | Node::Int(_) | Node::Long(_) | Node::Double(_) | Node::Boolean(_))
}

fn number(node: &Node) -> Option<Value<'_>> {
    match node {
        Node::Int(value) => Some(Value::Int(*value)),
        Node::Long(value) => Some(Value::Long(*value)),
        Node::Double(value) => Some(Value::Double(*value)),
        _ => None,
    }
}

/// The string that an image without its outer quotes stands for.
fn unquoted(image: &str) -> Box<[u8]> {
    image.replace("''", "'").into_bytes().into()
}
