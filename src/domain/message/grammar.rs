//! What a template may say: variables, conditions, loops over what a recipient has, comparisons, filters.
//!
//! Fuel bounds the steps of a template, and not what one step makes: `{% set a = a ~ a %}` forty times is a terabyte,
//! and so is a loop over a list of lists of lists. What can grow a value is therefore not in the language of messages:
//! no assignment, no joining of texts but by writing them one behind the other, no list within a list, no loop over
//! anything but a variable or constants. What remains is linear in the template and in the row. It is read here from
//! the template language's own syntax tree, so that both understand the same.

use super::MessageError;
use super::template::refused;
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, ForLoop, Stmt};
use minijinja::machinery::{self, Span};

/// Refuses a text that is no template, or one that says more than a message may.
#[expect(clippy::default_trait_access, reason = "the type of the syntax has no public name")]
pub(super) fn check(text: &str) -> Result<(), MessageError> {
    let tree = machinery::parse(text, "text", Default::default()).map_err(|error| refused(&error))?;
    statement(&tree)
}

fn no(what: &str, span: Span) -> MessageError {
    MessageError::Syntax { reason: format!("{what} cannot be used in a message (line {})", span.start_line) }
}

fn statements(all: &[Stmt<'_>]) -> Result<(), MessageError> {
    all.iter().try_for_each(statement)
}

fn statement(stmt: &Stmt<'_>) -> Result<(), MessageError> {
    match stmt {
        Stmt::Template(template) => statements(&template.children),
        Stmt::EmitRaw(_) => Ok(()),
        Stmt::EmitExpr(emitted) => expression(&emitted.expr),
        Stmt::IfCond(condition) => {
            expression(&condition.expr)?;
            statements(&condition.true_body)?;
            statements(&condition.false_body)
        }
        Stmt::ForLoop(looped) => for_loop(looped, looped.span()),
        Stmt::WithBlock(other) => Err(no("with", other.span())),
        Stmt::Set(other) => Err(no("set", other.span())),
        Stmt::SetBlock(other) => Err(no("set", other.span())),
        Stmt::AutoEscape(other) => Err(no("autoescape", other.span())),
        Stmt::FilterBlock(other) => Err(no("filter", other.span())),
        Stmt::Do(other) => Err(no("do", other.span())),
    }
}

fn for_loop(looped: &ForLoop<'_>, span: Span) -> Result<(), MessageError> {
    if looped.recursive {
        return Err(no("a recursive loop", span));
    }
    if !is_path(&looped.iter) && looped.iter.as_const().is_none() {
        return Err(no("a loop over anything but a variable", span));
    }
    expression(&looped.iter)?;
    looped.filter_expr.iter().try_for_each(expression)?;
    statements(&looped.body)?;
    statements(&looped.else_body)
}

/// A variable, or something in one.
fn is_path(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Var(_) => true,
        Expr::GetAttr(inner) => is_path(&inner.expr),
        Expr::GetItem(inner) => is_path(&inner.expr) && inner.subscript_expr.as_const().is_some(),
        Expr::Const(_)
        | Expr::Slice(_)
        | Expr::UnaryOp(_)
        | Expr::BinOp(_)
        | Expr::Compare(_)
        | Expr::IfExpr(_)
        | Expr::Filter(_)
        | Expr::Test(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Tuple(_)
        | Expr::Map(_) => false,
    }
}

fn expression(expr: &Expr<'_>) -> Result<(), MessageError> {
    match expr {
        Expr::Var(_) | Expr::Const(_) => Ok(()),
        Expr::GetAttr(inner) => expression(&inner.expr),
        Expr::GetItem(inner) => {
            expression(&inner.expr)?;
            expression(&inner.subscript_expr)
        }
        Expr::Slice(inner) => {
            expression(&inner.expr)?;
            [&inner.start, &inner.stop, &inner.step].into_iter().flatten().try_for_each(expression)
        }
        Expr::UnaryOp(inner) => expression(&inner.expr),
        Expr::BinOp(inner) => {
            operator(inner.op, inner.span())?;
            expression(&inner.left)?;
            expression(&inner.right)
        }
        Expr::Compare(inner) => {
            expression(&inner.expr)?;
            inner.ops.iter().try_for_each(|compared| expression(&compared.expr))
        }
        Expr::IfExpr(inner) => {
            expression(&inner.test_expr)?;
            expression(&inner.true_expr)?;
            inner.false_expr.iter().try_for_each(expression)
        }
        Expr::Filter(inner) => {
            inner.expr.iter().try_for_each(expression)?;
            arguments(&inner.args)
        }
        Expr::Test(inner) => {
            expression(&inner.expr)?;
            arguments(&inner.args)
        }
        Expr::List(inner) => items(&inner.items),
        Expr::Tuple(inner) => items(&inner.items),
        Expr::Map(inner) => Err(no("a map", inner.span())),
        Expr::Call(inner) => Err(no("a function", inner.span())),
    }
}

/// What joins or repeats texts and lists; money is not calculated in a message either.
fn operator(op: BinOpKind, span: Span) -> Result<(), MessageError> {
    match op {
        BinOpKind::Add => Err(no("the operator +", span)),
        BinOpKind::Mul => Err(no("the operator *", span)),
        BinOpKind::Pow => Err(no("the operator **", span)),
        BinOpKind::Concat => Err(no("the operator ~", span)),
        BinOpKind::Eq
        | BinOpKind::Ne
        | BinOpKind::Lt
        | BinOpKind::Lte
        | BinOpKind::Gt
        | BinOpKind::Gte
        | BinOpKind::ScAnd
        | BinOpKind::ScOr
        | BinOpKind::Sub
        | BinOpKind::Div
        | BinOpKind::FloorDiv
        | BinOpKind::Rem
        | BinOpKind::In => Ok(()),
    }
}

/// A list of plain things.
fn items(all: &[Expr<'_>]) -> Result<(), MessageError> {
    all.iter().try_for_each(|item| {
        if matches!(item, Expr::List(_) | Expr::Tuple(_)) {
            return Err(no("a list in a list", item.span()));
        }
        expression(item)
    })
}

fn arguments(all: &[CallArg<'_>]) -> Result<(), MessageError> {
    all.iter().try_for_each(|argument| match argument {
        CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
            expression(expr)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_is_in_the_language() {
        for text in [
            "Hola {{ name }}",
            "{% if a and not b or c.d == 'x' %}{{ a | upper }}{% elif n - 1 > 2 %}y{% else %}z{% endif %}",
            "{% for i in items %}{{ loop.index }} {{ i.name }}{% else %}-{% endfor %}",
            "{% for k, v in client.data %}{{ k }}{% endfor %}",
            "{% for i in [1, 2, 3] %}{{ i }}{% endfor %}",
            "{{ a | default('x') if a is defined else b[0] }} {{ a[:5] }}",
            "{% if state in ['new', 'open'] %}x{% endif %}{% raw %}{{ a ~ a }}{% endraw %}{# note #}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_could_grow_a_value_is_not() {
        for (text, named) in [
            ("{% set a = 1 %}", "set"),
            ("{% set a %}x{% endset %}", "set"),
            ("{% with a = 1 %}{{ a }}{% endwith %}", "with"),
            ("{% autoescape false %}{{ a }}{% endautoescape %}", "autoescape"),
            ("{% filter upper %}x{% endfilter %}", "filter"),
            ("{{ a ~ a }}", "the operator ~"),
            ("{{ 'x' * 1000000000 }}", "the operator *"),
            ("{{ a + a }}", "the operator +"),
            ("{{ 9 ** 9 ** 9 }}", "the operator **"),
            ("{{ {'a': 1} }}", "a map"),
            ("{{ [[a, a], [a, a]] }}", "a list in a list"),
            ("{% for a in [a, a] %}{% for a in [a, a] %}{{ a }}{% endfor %}{% endfor %}", "a loop over"),
            ("{% for a in (a, a) %}{{ a }}{% endfor %}", "a loop over"),
            ("{% for a in x recursive %}{{ loop(a) }}{% endfor %}", "a recursive loop"),
            ("{{ range(10) }}", "a function"),
            ("{% for a in a | default([b, b]) %}{{ a }}{% endfor %}", "a loop over"),
            ("Hola\n{{ a | default(b ~ b) }}", "the operator ~ cannot be used in a message (line 2)"),
        ] {
            let MessageError::Syntax { reason } = check(text).unwrap_err() else { panic!("{text}") };
            assert!(reason.starts_with(named), "{text}: {reason}");
        }
    }
}
