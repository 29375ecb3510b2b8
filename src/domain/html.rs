//! Text that stands in HTML: shown as it is, whoever wrote it, inside an element or an attribute.

/// The text, so that nothing in it is read as HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(text, &mut out);
    out
}

/// Appends the same.
pub fn push_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_is_left_that_html_reads() {
        let text = "<a href=\"x\" title='y'>ñ & z</a>";
        assert_eq!(escaped(text), "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;ñ &amp; z&lt;/a&gt;");
    }
}
