//! A filter over cases as they lie in Redis: what reading and judging one of them costs.
//!
//! A run streams all cases of its campaign through its filter; the aim is 100,000 a second on one core, which leaves ten
//! microseconds a case, Redis included.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use remesa::domain::filter::{Condition, Filter};
use serde_json::{Value, json};

const CASE: &str = r#"{"state":"open","order":7,"number":12,"id":"c-12","origin":"import","client":{"document_type":"CC","document_number":"52123456","first_name":"María José","middle_name":"Inés","last_name":"Ñandú Pérez","birth_date":"1990-02-28","gender":"F","labels":["vip","moroso","bogota"],"plan":"gold"},"contacts":[{"kind":"mobile","value":"+573001234567","updated_at":1795942800000},{"kind":"mobile","value":"+573009876543","updated_at":1795942800000},{"kind":"email","value":"maria@example.com","updated_at":1795942800000}],"vars":{"saldo":1250,"vence":"2026-12-01","producto":"Tarjeta de crédito","sucursal":"Chapinero"},"created_at":1795942800000,"updated_at":1795996800000}"#;

fn filter(conditions: &[(&str, &str, Value)]) -> Option<Filter> {
    let all: Result<Vec<_>, _> = conditions
        .iter()
        .map(|(column, operator, value)| Condition::new(column, operator, Some(value.clone())))
        .collect();
    Filter::new(all.ok()?, Vec::new()).ok()
}

fn filters(criterion: &mut Criterion) {
    let asked = [
        ("one label", vec![("labels", "contains", json!("moroso"))]),
        (
            "six conditions",
            vec![
                ("labels", "in", json!(["vip", "moroso"])),
                ("vars.saldo", "greater", json!(1000)),
                ("birth_date", "between", json!(["1980-01-01", "1999-12-31"])),
                ("last_name", "contains", json!("pérez")),
                ("created_at", "greater", json!("2026-01-01")),
                ("document_type", "equals", json!("cc")),
            ],
        ),
    ];
    let mut group = criterion.benchmark_group("case read and judged");
    group.throughput(Throughput::Elements(1));
    for (name, conditions) in asked {
        if let Some(filter) = filter(&conditions) {
            group.bench_function(name, |b| b.iter(|| filter.matches(black_box(CASE))));
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = filters
}
criterion_main!(benches);
