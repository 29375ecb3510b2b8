//! `remesa template`: the templates of messages that imports brought, for all campaigns.

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::store::templates::StoredTemplate;

use super::{
    context::Globals,
    format,
    output::{self, Column, Page, Rows},
};

/// Examples of the group.
pub const EXAMPLES: &str = "\
Examples:
  remesa template list
  remesa template show reminder
  remesa enqueue import templates.json --wait      bring or replace some";

const LIST_EXAMPLES: &str = "\
Examples:
  remesa template list
  remesa template list --json                      one JSON object a line";

const SHOW_EXAMPLES: &str = "\
Examples:
  remesa template show reminder
  remesa template show reminder --json";

/// Templates read at once.
const PAGE: usize = 500;

/// What to do with templates.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Their names, and when they were last replaced.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Print one JSON object a line instead of text.
        #[arg(long)]
        json: bool,
    },
    /// What one says.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its name.
        name: String,
        /// How it is printed.
        #[command(flatten)]
        format: output::Format,
    },
}

/// Runs the command.
pub async fn run(globals: &Globals, action: Action) -> anyhow::Result<()> {
    let context = globals.open().await?;
    let store = &context.store;
    match action {
        Action::List { json } => {
            let mut rows = Rows::new(&["TEMPLATE", "SAYS", "UPDATED", "BY"].map(Column::Text));
            let mut after = String::new();
            loop {
                let names = store.template_names(&after, PAGE).await?;
                for name in &names {
                    let Some(template) = store.template(name).await? else { continue };
                    if json {
                        output::json_line(&shown(&template))?;
                    } else {
                        add(&mut rows, &template);
                    }
                }
                match names.last() {
                    Some(last) if names.len() == PAGE => after.clone_from(last),
                    _ => break,
                }
            }
            if !json {
                if rows.is_empty() {
                    output::note(format_args!("there is no template: bring one with `remesa enqueue import`"));
                } else {
                    rows.print()?;
                }
            }
            Ok(())
        }
        Action::Show { name, format } => {
            let template = store.template(&name).await?;
            let template =
                template.ok_or_else(|| anyhow!("there is no template \"{name}\": see `remesa template list`"))?;
            if format.json {
                output::json(&shown(&template))?;
                return Ok(());
            }
            page(&template).print()?;
            Ok(())
        }
    }
}

fn shown(template: &StoredTemplate) -> Value {
    json!({ "template": template.name, "content": template.content, "updated_at": template.updated_at, "job": template.job })
}

fn add(rows: &mut Rows, template: &StoredTemplate) {
    let content = &template.content;
    let provider = content.provider_template.as_ref().map(|kept| kept.name.clone()).unwrap_or_default();
    let says = [&content.text, &content.subject, &provider, &content.html].into_iter().find(|text| !text.is_empty());
    let says = says.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    rows.add([
        template.name.clone(),
        format::cut(&says, 60),
        template.updated_at.to_rfc3339(),
        format::cut(&template.job, 40),
    ]);
}

fn page(template: &StoredTemplate) -> Page {
    let mut page = Page::default();
    page.line(format_args!("template {}", template.name));
    let content = &template.content;
    let kept = content.provider_template.as_ref();
    page.pairs([
        ("updated", template.updated_at.to_rfc3339()),
        ("by", template.job.clone()),
        ("subject", content.subject.clone()),
        ("provider's template", kept.map(|kept| format!("{} ({})", kept.name, kept.language)).unwrap_or_default()),
        ("its parameters", kept.map(|kept| kept.parameters.join(" | ")).unwrap_or_default()),
    ]);
    for (what, text) in [("text", &content.text), ("html", &content.html)] {
        if !text.is_empty() {
            page.line("");
            page.line(format_args!("{what}:"));
            text.lines().for_each(|line| page.line(line));
        }
    }
    page
}
