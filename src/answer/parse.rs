//! Tokens as one expression, by precedence: sums, products (written or not), powers, what stands alone.
//!
//! Guarantees bounded depth and size. Two numbers side by side are no product: `5 5` is malformed, `2 \frac13` is mixed.

use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};

use super::expr::{Constant, Expr, Function};
use super::number;
use super::token::{Bracket, MAX_DEPTH, Token, Unreadable};

/// Sums and products that are written out have at most so many terms.
const MAX_TERMS: i64 = 500;
/// The largest expression.
const MAX_SIZE: usize = 6000;

/// The expression that all the tokens write.
pub(super) fn expression(tokens: &[Token]) -> Result<Expr, Unreadable> {
    let mut parser = Parser { tokens, at: 0, depth: 0, bars: 0 };
    let found = parser.sum()?;
    match parser.peek() {
        None => Ok(found),
        Some(_) => Err(Unreadable::Malformed),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    /// How many absolute values are open.
    bars: usize,
}

type Read = Result<Expr, Unreadable>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn ahead(&self, count: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + count)
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.peek() == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: &Token) -> Result<(), Unreadable> {
        if self.take(token) { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unreadable>) -> Result<T, Unreadable> {
        if MAX_DEPTH <= self.depth {
            return Err(Unreadable::TooLarge);
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    fn sum(&mut self) -> Read {
        self.nested(|parser| {
            let mut terms = vec![parser.product()?];
            while let Some(Token::Sign(sign @ ('+' | '-'))) = parser.peek() {
                parser.at += 1;
                let term = parser.product()?;
                terms.push(if *sign == '-' { term.negative() } else { term });
            }
            Ok(Expr::sum(terms))
        })
    }

    fn product(&mut self) -> Read {
        let mut factors = Vec::new();
        let mut is_negative = false;
        while let Some(Token::Sign(sign @ ('+' | '-'))) = self.peek() {
            self.at += 1;
            is_negative ^= *sign == '-';
        }
        let mut last_was_number = self.is_at_number();
        factors.push(self.mixed()?);
        loop {
            match self.peek() {
                Some(Token::Sign('*')) => {
                    self.at += 1;
                    factors.push(self.signed()?);
                }
                Some(Token::Sign('/')) => {
                    self.at += 1;
                    let divisor = self.signed()?;
                    factors.push(Expr::integer(1).over(divisor));
                }
                Some(_) if self.is_at_factor() => {
                    if last_was_number && self.is_at_number() {
                        return Err(Unreadable::Malformed);
                    }
                    last_was_number = self.is_at_number();
                    factors.push(self.power()?);
                    continue;
                }
                _ => break,
            }
            last_was_number = true;
        }
        let product = Expr::product(factors);
        Ok(if is_negative { product.negative() } else { product })
    }

    /// A factor after `*` or `/`, with signs before it.
    fn signed(&mut self) -> Read {
        let mut is_negative = false;
        while let Some(Token::Sign(sign @ ('+' | '-'))) = self.peek() {
            self.at += 1;
            is_negative ^= *sign == '-';
        }
        let factor = self.power()?;
        Ok(if is_negative { factor.negative() } else { factor })
    }

    /// A factor, or a mixed number such as `2\frac13` or `2 1/3`.
    fn mixed(&mut self) -> Read {
        let whole = match self.peek() {
            Some(Token::Number(whole)) if whole.is_integer() && whole.is_positive() => whole,
            _ => return self.power(),
        };
        let start = self.at;
        self.at += 1;
        let part = match (self.peek(), self.ahead(1), self.ahead(2)) {
            (Some(Token::Command(name)), _, _) if name == "frac" => self.atom()?,
            (Some(Token::Number(over)), Some(Token::Sign('/')), Some(Token::Number(under)))
                if over.is_integer() && under.is_integer() =>
            {
                self.at += 3;
                Expr::Number(over.clone()).over(Expr::Number(under.clone()))
            }
            _ => Expr::Undefined,
        };
        let is_proper = |part: &BigRational| part.is_positive() && *part < BigRational::one();
        match (part, self.peek()) {
            (Expr::Number(part), next) if is_proper(&part) && next != Some(&Token::Sign('^')) => {
                Ok(Expr::Number(whole + part))
            }
            _ => {
                self.at = start;
                self.power()
            }
        }
    }

    fn is_at_number(&self) -> bool {
        matches!(self.peek(), Some(Token::Number(_)))
    }

    /// Whether what follows multiplies without a sign.
    fn is_at_factor(&self) -> bool {
        match self.peek() {
            Some(Token::Sign('|')) => self.bars == 0,
            Some(Token::Sign(_) | Token::Close(_) | Token::Begin(_) | Token::End(_) | Token::Text(_))
            | None => false,
            Some(_) => true,
        }
    }

    /// An atom with its exponents and factorials.
    fn power(&mut self) -> Read {
        self.nested(|parser| {
            let mut base = parser.atom()?;
            for _ in 0..MAX_DEPTH {
                match parser.peek() {
                    Some(Token::Sign('^')) => {
                        parser.at += 1;
                        if parser.take_degree() {
                            base = degrees(base);
                            continue;
                        }
                        let exponent = parser.exponent()?;
                        base = Expr::power(base, exponent);
                    }
                    Some(Token::Sign('°')) => {
                        parser.at += 1;
                        base = degrees(base);
                    }
                    Some(Token::Sign('!')) => {
                        parser.at += 1;
                        base = Expr::call(Function::Factorial, vec![base]);
                    }
                    _ => return Ok(base),
                }
            }
            Err(Unreadable::TooLarge)
        })
    }

    fn take_degree(&mut self) -> bool {
        let group = [Token::Open(Bracket::Group), Token::Sign('°'), Token::Close(Bracket::Group)];
        if self.tokens[self.at..].starts_with(&group) {
            self.at += 3;
            return true;
        }
        self.take(&Token::Sign('°'))
    }

    /// What stands after `^`: one signed factor, whose own exponent belongs to it.
    fn exponent(&mut self) -> Read {
        let mut is_negative = false;
        while let Some(Token::Sign(sign @ ('+' | '-'))) = self.peek() {
            self.at += 1;
            is_negative ^= *sign == '-';
        }
        let base = self.nested(Self::atom)?;
        let whole = if self.peek() == Some(&Token::Sign('^')) {
            self.at += 1;
            let above = self.nested(Self::exponent)?;
            Expr::power(base, above)
        } else {
            base
        };
        Ok(if is_negative { whole.negative() } else { whole })
    }

    fn group(&mut self) -> Read {
        self.expect(&Token::Open(Bracket::Group))?;
        let found = self.unbarred(Self::sum)?;
        self.expect(&Token::Close(Bracket::Group))?;
        Ok(found)
    }

    /// Reads what is inside a bracket, where a bar opens an absolute value of its own.
    fn unbarred(&mut self, read: impl FnOnce(&mut Self) -> Read) -> Read {
        let bars = std::mem::take(&mut self.bars);
        let found = read(self);
        self.bars = bars;
        found
    }

    fn atom(&mut self) -> Read {
        let token = self.peek().ok_or(Unreadable::Malformed)?;
        match token {
            Token::Number(value) => {
                self.at += 1;
                self.based(value)
            }
            Token::Name(name) => {
                self.at += 1;
                self.name(name)
            }
            Token::Word(word) => {
                self.at += 1;
                letters(word)
            }
            Token::Open(bracket) => self.bracketed(*bracket),
            Token::Sign('|') => {
                self.at += 1;
                self.bars += 1;
                let inner = self.sum();
                self.bars -= 1;
                self.expect(&Token::Sign('|'))?;
                Ok(Expr::call(Function::Abs, vec![inner?]))
            }
            Token::Command(command) => {
                self.at += 1;
                self.command(command)
            }
            _ => Err(Unreadable::Malformed),
        }
    }

    /// A number, in a base where `_8` follows.
    fn based(&mut self, value: &BigRational) -> Read {
        if self.peek() != Some(&Token::Sign('_')) {
            return Ok(Expr::Number(value.clone()));
        }
        self.at += 1;
        let base = match self.peek() {
            Some(Token::Open(Bracket::Group)) => self.group()?,
            _ => self.atom()?,
        };
        let Expr::Number(base) = base else { return Err(Unreadable::Malformed) };
        let base = number::small(&base).and_then(|base| u32::try_from(base).ok());
        let digits = value.is_integer().then(|| value.numer().to_string());
        let value = digits.zip(base).and_then(|(digits, base)| number::in_base(&digits, base));
        value.map(Expr::Number).ok_or(Unreadable::Malformed)
    }

    fn bracketed(&mut self, bracket: Bracket) -> Read {
        self.at += 1;
        let inner = self.unbarred(Self::sum)?;
        self.expect(&Token::Close(bracket))?;
        match bracket {
            Bracket::Round | Bracket::Square | Bracket::Group => Ok(inner),
            Bracket::Floor => Ok(Expr::call(Function::Floor, vec![inner])),
            Bracket::Ceiling => Ok(Expr::call(Function::Ceiling, vec![inner])),
            Bracket::Set | Bracket::Angle => Err(Unreadable::Malformed),
        }
    }

    fn name(&mut self, name: &str) -> Read {
        match name {
            "π" => return Ok(Expr::Constant(Constant::Pi)),
            "∞" => return Ok(Expr::Constant(Constant::Infinity)),
            "sqrt" => return Ok(self.argument()?.root(Expr::integer(2))),
            "e" | "i" if self.peek() != Some(&Token::Sign('_')) => {
                return Ok(Expr::Constant(if name == "e" { Constant::E } else { Constant::I }));
            }
            "ℝ" => return Err(Unreadable::Malformed),
            _ => {}
        }
        if 1 < name.len() && name.is_ascii() && is_function(name) {
            return self.function(name);
        }
        let mut full = name.to_owned();
        if self.take(&Token::Sign('_')) {
            full.push('_');
            full.push_str(&self.subscript()?);
        }
        while self.take(&Token::Sign('\'')) {
            full.push('\'');
        }
        if self.is_at_application(name) {
            let arguments = self.arguments()?;
            return Ok(Expr::call(Function::Named(full), arguments));
        }
        Ok(Expr::Symbol(full))
    }

    /// `f(x)` is an application, `x(x+1)` a product; a letter before a bracketed number alone is one too: `I(0)`.
    fn is_at_application(&self, name: &str) -> bool {
        if self.peek() != Some(&Token::Open(Bracket::Round)) {
            return false;
        }
        let is_single = matches!(self.ahead(1), Some(Token::Number(_)))
            && self.ahead(2) == Some(&Token::Close(Bracket::Round));
        ["f", "g", "h", "F", "G", "H"].contains(&name) || is_single
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Unreadable> {
        self.expect(&Token::Open(Bracket::Round))?;
        let mut found = vec![self.unbarred(Self::sum)?];
        while self.take(&Token::Sign(',')) {
            found.push(self.unbarred(Self::sum)?);
        }
        self.expect(&Token::Close(Bracket::Round))?;
        Ok(found)
    }

    fn subscript(&mut self) -> Result<String, Unreadable> {
        let text = |token: &Token| match token {
            Token::Number(value) => Some(value.to_string()),
            Token::Name(name) | Token::Word(name) | Token::Text(name) => Some(name.clone()),
            Token::Sign(sign @ ('+' | '-' | ',')) => Some(sign.to_string()),
            _ => None,
        };
        if !self.take(&Token::Open(Bracket::Group)) {
            let found = self.peek().and_then(text).ok_or(Unreadable::Malformed)?;
            self.at += 1;
            return Ok(found);
        }
        let mut found = String::new();
        while !self.take(&Token::Close(Bracket::Group)) {
            found.push_str(&self.peek().and_then(text).ok_or(Unreadable::Malformed)?);
            self.at += 1;
        }
        Ok(found)
    }

    /// A function with its base, its exponent and its arguments.
    fn function(&mut self, name: &str) -> Read {
        let base = if self.take(&Token::Sign('_')) { Some(self.nested(Self::atom)?) } else { None };
        let exponent = if self.take(&Token::Sign('^')) { Some(self.exponent()?) } else { None };
        if ["max", "min", "gcd", "lcm", "det", "dim", "arg", "deg"].contains(&name) {
            let arguments = self.arguments()?;
            return Ok(Expr::call(Function::Named(name.to_owned()), arguments));
        }
        let argument = self.argument()?;
        let is_inverse = exponent == Some(Expr::integer(-1));
        let name = match (name, is_inverse) {
            ("sin", true) => "asin",
            ("cos", true) => "acos",
            ("tan", true) => "atan",
            (other, _) => other,
        };
        let value = applied(name, argument, base);
        match exponent {
            Some(exponent) if !(is_inverse && name.starts_with('a')) => Ok(Expr::power(value, exponent)),
            _ => Ok(value),
        }
    }

    /// The argument of a function: a bracket, or factors up to the next function.
    fn argument(&mut self) -> Read {
        if matches!(self.peek(), Some(Token::Open(_))) {
            return self.nested(Self::atom);
        }
        let mut is_negative = false;
        while self.take(&Token::Sign('-')) {
            is_negative = !is_negative;
        }
        let mut factors = vec![self.power()?];
        while self.is_at_factor() && !self.is_at_function() && !matches!(self.peek(), Some(Token::Open(_))) {
            factors.push(self.power()?);
        }
        let product = Expr::product(factors);
        Ok(if is_negative { product.negative() } else { product })
    }

    fn is_at_function(&self) -> bool {
        matches!(self.peek(), Some(Token::Name(name)) if is_function(name))
    }

    fn command(&mut self, command: &str) -> Read {
        match command {
            "frac" => {
                let over = self.group()?;
                Ok(over.over(self.group()?))
            }
            "binom" => {
                let of = self.group()?;
                let chosen = self.group()?;
                Ok(binomial(of, chosen))
            }
            "sqrt" => {
                let degree = if self.take(&Token::Open(Bracket::Square)) {
                    let degree = self.unbarred(Self::sum)?;
                    self.expect(&Token::Close(Bracket::Square))?;
                    degree
                } else {
                    Expr::integer(2)
                };
                let radicand = self.nested(Self::atom)?;
                Ok(radicand.root(degree))
            }
            "sum" | "prod" => self.series(command == "sum"),
            "overline" | "bar" | "vec" | "hat" | "tilde" | "dot" | "ddot" | "widehat" | "overrightarrow" => {
                let inner = self.nested(Self::atom)?;
                match inner {
                    Expr::Symbol(name) => Ok(Expr::Symbol(format!("{name}_{command}"))),
                    other => Ok(Expr::call(Function::Named(command.to_owned()), vec![other])),
                }
            }
            "int" | "iint" | "oint" | "lim" | "limsup" | "liminf" | "partial" | "nabla" => {
                Err(Unreadable::Unsupported)
            }
            _ => Err(Unreadable::Malformed),
        }
    }

    /// A sum or product over a range of integers, written out.
    fn series(&mut self, is_sum: bool) -> Read {
        self.expect(&Token::Sign('_'))?;
        self.expect(&Token::Open(Bracket::Group))?;
        let Some(Token::Name(index)) = self.peek() else { return Err(Unreadable::Unsupported) };
        self.at += 1;
        self.expect(&Token::Sign('='))?;
        let from = self.sum()?;
        self.expect(&Token::Close(Bracket::Group))?;
        self.expect(&Token::Sign('^'))?;
        let to = self.exponent()?;
        let body = self.product()?;
        let bound = |value: &Expr| match value {
            Expr::Number(value) if value.is_integer() => value.numer().to_i64(),
            _ => None,
        };
        let (Some(from), Some(to)) = (bound(&from), bound(&to)) else { return Err(Unreadable::Unsupported) };
        let terms = to.checked_sub(from).map(|last| last + 1).filter(|terms| *terms <= MAX_TERMS);
        let terms = terms.ok_or(Unreadable::Unsupported)?;
        if usize::try_from(terms).is_ok_and(|terms| MAX_SIZE < body.size().saturating_mul(terms)) {
            return Err(Unreadable::TooLarge);
        }
        let name = if index == "i" || index == "e" { Err(Unreadable::Unsupported) } else { Ok(index) }?;
        let items = (from..=to).map(|value| body.with(name, &Expr::integer(value))).collect();
        Ok(if is_sum { Expr::sum(items) } else { Expr::product(items) })
    }
}

fn degrees(angle: Expr) -> Expr {
    Expr::product(vec![angle, Expr::Constant(Constant::Pi), Expr::integer(1).over(Expr::integer(180))])
}

fn is_function(name: &str) -> bool {
    const NAMES: [&str; 30] = [
        "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "asin", "acos", "atan",
        "sinh", "cosh", "tanh", "ln", "log", "lg", "exp", "sqrt", "abs", "floor", "ceil", "max", "min",
        "gcd", "lcm", "det", "arg", "deg",
    ];
    NAMES.contains(&name)
}

/// A function of one argument. A logarithm without a base is one to a base that is not known.
fn applied(name: &str, argument: Expr, base: Option<Expr>) -> Expr {
    let one = |function| Expr::call(function, vec![argument.clone()]);
    let inverse = |value: Expr| Expr::integer(1).over(value);
    match name {
        "sin" => one(Function::Sin),
        "cos" => one(Function::Cos),
        "tan" => one(Function::Tan),
        "cot" => inverse(one(Function::Tan)),
        "sec" => inverse(one(Function::Cos)),
        "csc" => inverse(one(Function::Sin)),
        "arcsin" | "asin" => one(Function::Asin),
        "arccos" | "acos" => one(Function::Acos),
        "arctan" | "atan" => one(Function::Atan),
        "sinh" => one(Function::Sinh),
        "cosh" => one(Function::Cosh),
        "tanh" => one(Function::Tanh),
        "exp" => Expr::power(Expr::Constant(Constant::E), argument),
        "sqrt" => argument.root(Expr::integer(2)),
        "abs" => one(Function::Abs),
        "floor" => one(Function::Floor),
        "ceil" => one(Function::Ceiling),
        "lg" => logarithm(argument, &Expr::integer(10)),
        "log" => match base {
            Some(base) => logarithm(argument, &base),
            None => one(Function::Ln).over(Expr::symbol("ln of log's base")),
        },
        _ => logarithm(argument, &Expr::Constant(Constant::E)),
    }
}

fn logarithm(argument: Expr, base: &Expr) -> Expr {
    let logarithm = Expr::call(Function::Ln, vec![argument]);
    if *base == Expr::Constant(Constant::E) {
        return logarithm;
    }
    logarithm.over(Expr::call(Function::Ln, vec![base.clone()]))
}

/// Written out where both are small numbers.
fn binomial(of: Expr, chosen: Expr) -> Expr {
    if let (Expr::Number(total), Expr::Number(count)) = (&of, &chosen)
        && let Some(count) = number::small(count).filter(|count| *count <= 200)
    {
        let factor = |index: u64| {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            Expr::Number((total - number::integer(index)) / number::integer(index + 1))
        };
        return Expr::product((0..count).map(factor).collect());
    }
    Expr::call(Function::Binomial, vec![of, chosen])
}

/// A short run of letters is a product of symbols, a long one a word, which has no value.
fn letters(word: &str) -> Read {
    if 4 < word.chars().count() {
        return Err(Unreadable::Malformed);
    }
    let symbol = |letter: char| match letter {
        'e' => Expr::Constant(Constant::E),
        'i' => Expr::Constant(Constant::I),
        other => Expr::Symbol(other.to_string()),
    };
    Ok(Expr::product(word.chars().map(symbol).collect()))
}
