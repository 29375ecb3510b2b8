//! The rules on the way of every message, one by one: what each costs without Redis and network.
//!
//! At 50,000 messages a second all of them together may take a few microseconds a message. `make bench`
//! runs this after the measurements of the whole.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use remesa::{
    domain::{
        failure::Attempt,
        message::{Message, UrlPlace, Vars},
        order::Order,
        reference,
        short_code::ShortCode,
        sms,
    },
    store::runs::Recipient,
};

const ORDER: &str = r#"{"state":"available","expires_at":1763719200000,"number":1,"key":"gen-nov:1","reference":"A-1","concept":"Cuota noviembre","amount":1250,"contact":"+34600123456","short_code":"aB3dE5gH1j","created_at":1763546400000,"vars":{"name":"Ana"}}"#;

const PLAIN: &str = "Hola Ana, tu cuota de noviembre (12.50 EUR) vence el domingo. Puedes pagarla con tarjeta en \
                     https://pay.example/?p=aB3dE5gH1j";

fn rules(criterion: &mut Criterion) {
    let secret = [7_u8; 32];
    criterion.bench_function("sms parts, GSM-7", |b| b.iter(|| sms::parts(black_box(PLAIN))));
    let accented = PLAIN.replace("cuota", "última cuota");
    criterion.bench_function("sms parts, UCS-2", |b| b.iter(|| sms::parts(black_box(&accented))));
    if let Ok(order) = Order::from_json(ORDER) {
        let text = "Hola {{ name }}, tu cuota de noviembre ({{ amount }} EUR) vence el domingo. Puedes pagarla en";
        if let Ok(message) = Message::compile(text, Some(UrlPlace::End)) {
            let built_in = [("amount", "12.50"), ("currency", "EUR"), ("concept", "Cuota"), ("reference", "A-1")];
            let vars = Vars::new(&order.vars, &built_in);
            criterion.bench_function("message rendered", |b| {
                b.iter(|| message.render(black_box(&vars), "https://pay.example/?p=aB3dE5gH1j"));
            });
        }
        criterion.bench_function("order written as JSON", |b| b.iter(|| black_box(&order).to_json()));
    }
    criterion.bench_function("order read from JSON", |b| b.iter(|| Order::from_json(black_box(ORDER))));
    criterion.bench_function("short code derived", |b| {
        b.iter(|| ShortCode::derive(&secret, "nov-dues", black_box("gen-nov:123456"), 0, 10));
    });
    criterion.bench_function("reference signed", |b| {
        b.iter(|| reference::sign(&secret, "nov-dues", "delivery@1", black_box(123_456), 0, Attempt::FIRST));
    });
    criterion.bench_function("claimed recipient read", |b| {
        b.iter(|| Recipient::read(black_box("123456,1,1,"), "1763719200000", 7, ORDER.to_owned(), String::new()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = rules
}
criterion_main!(benches);
