//! Messages as they are on the bus: a program of last year must read what one of today writes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use wire::{Order, VERSION, Word};

const CANCEL: &str = r#"{"v":1,"word":"cancel","run":"01936f1c-0000-7000-8000-000000000001"}"#;
const PAUSE: &str = r#"{"v":1,"word":"pause","run":"01936f1c-0000-7000-8000-000000000001"}"#;

#[test]
fn words() {
    let run = "01936f1c-0000-7000-8000-000000000001".parse().unwrap();
    for (golden, order) in [(CANCEL, Order::Cancel), (PAUSE, Order::Pause)] {
        let word = Word {
            v: VERSION,
            word: order,
            run,
        };
        assert_eq!(String::from_utf8(word.encode()).unwrap(), golden);
        assert_eq!(Word::decode(golden.as_bytes()).unwrap(), word);
    }
}

#[test]
fn words_that_are_not_understood_are_no_words() {
    let other = CANCEL.replace("\"v\":1", "\"v\":2");
    let error = Word::decode(other.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("word message has version 2"), "{error}");
    let unknown = CANCEL.replace("cancel", "dance");
    let error = Word::decode(unknown.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("dance"), "{error}");
}
