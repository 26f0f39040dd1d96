use super::*;
use proptest::prelude::*;

const MOST: Usage = Usage {
    prompt_tokens: 100,
    completion_tokens: 50,
};

fn read(body: &str) -> Result<(String, Usage), Failure> {
    chat(
        body.as_bytes(),
        Terms {
            most: MOST,
            secrets: &Secrets::default(),
        },
        false,
    )
}

#[test]
fn what_was_cut_off_or_is_empty_counts_where_it_counts_as_it_is() {
    let said = |content: &str, finish: &str| {
        let body = choice(&format!(
            r#""message":{{"role":"assistant","content":{content}}},"finish_reason":"{finish}""#
        ));
        let secrets = Secrets::default();
        let terms = || Terms {
            most: MOST,
            secrets: &secrets,
        };
        let read = |as_it_is| {
            chat(body.as_bytes(), terms(), as_it_is)
                .map(|(text, _)| text)
                .ok()
        };
        (read(false), read(true))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(said("\"the fi\"", "length"), (None, some("the fi")));
    assert_eq!(said("\"\"", "stop"), (None, some("")));
    assert_eq!(said("\"whole\"", "stop"), (some("whole"), some("whole")));
    // What a filter withheld, and what is not there, is no reply.
    assert_eq!(said("\"\"", "content_filter"), (None, None));
    assert_eq!(said("null", "stop"), (None, None));
}

fn choice(rest: &str) -> String {
    format!(
        r#"{{"id":"x","choices":[{{"index":0,{rest}}}],"usage":{{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}}}"#
    )
}

#[test]
fn a_whole_reply_is_an_answer() {
    let body = choice(
        r#""message":{"role":"assistant","content":" Hé\n","refusal":null},"finish_reason":"stop""#,
    );
    let usage = Usage {
        prompt_tokens: 7,
        completion_tokens: 3,
    };
    assert_eq!(read(&body), Ok((" Hé\n".to_owned(), usage)));
}

#[test]
fn missing_counts_are_the_most_there_can_be() {
    let body = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
    assert_eq!(read(body).unwrap().1, MOST);
    let body = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9}}"#;
    assert_eq!(
        read(body).unwrap().1,
        Usage {
            prompt_tokens: 9,
            ..MOST
        }
    );
    let body = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":18446744073709551615}}"#;
    assert_eq!(read(body).unwrap().1.prompt_tokens, u64::from(u32::MAX));
}

#[test]
fn nothing_else_is_an_answer() {
    let said = r#""message":{"content":"yes"}"#;
    for (rest, class, word) in [
        (
            format!(r#"{said},"finish_reason":"length""#),
            Class::Call,
            "max_tokens",
        ),
        (
            format!(r#"{said},"finish_reason":"content_filter""#),
            Class::Call,
            "filter",
        ),
        (
            format!(r#"{said},"finish_reason":"tool_calls""#),
            Class::Call,
            "tool",
        ),
        (
            format!(r#"{said},"finish_reason":"abort""#),
            Class::Malformed,
            "unknown reason",
        ),
        (
            format!(r#"{said},"finish_reason":null"#),
            Class::Malformed,
            "no finish_reason",
        ),
        (said.to_owned(), Class::Malformed, "no finish_reason"),
        (
            r#""message":{"content":" \n"},"finish_reason":"stop""#.into(),
            Class::Malformed,
            "empty",
        ),
        (
            r#""message":{"content":null},"finish_reason":"stop""#.into(),
            Class::Malformed,
            "empty",
        ),
        (
            r#""finish_reason":"stop""#.into(),
            Class::Malformed,
            "empty",
        ),
        (
            r#""message":{"content":"sorry","refusal":"I can't\ndo that"},"finish_reason":"stop""#
                .into(),
            Class::Call,
            "refused: I can't do that",
        ),
    ] {
        let failure = read(&choice(&rest)).unwrap_err();
        assert_eq!(failure.class, class, "{rest}");
        assert!(failure.message.contains(word), "{}", failure.message);
        assert_eq!(failure.paid.unwrap().total(), 10, "{rest}");
    }
}

#[test]
fn broken_json_is_charged_at_its_most() {
    for body in [
        "",
        "null",
        "[]",
        "{\"choices\":[{\"mess",
        "<html>",
        "{\"choices\":3}",
    ] {
        let failure = read(body).unwrap_err();
        assert_eq!(failure.class, Class::Malformed, "{body}");
        assert_eq!(failure.paid, Some(MOST), "{body}");
    }
    let failure = read(r#"{"error":{"message":"upstream\nis down"}}"#).unwrap_err();
    assert!(
        failure.message.contains("upstream is down"),
        "{}",
        failure.message
    );
}

#[test]
fn statuses() {
    let class = |code: u16, body: &str| {
        let status = StatusCode::from_u16(code).unwrap();
        refused(
            status,
            Some(Duration::from_secs(3)),
            body.as_bytes(),
            &Secrets::default(),
        )
        .class
    };
    let busy = |throttled| Class::Busy {
        after: Some(Duration::from_secs(3)),
        throttled,
    };
    for code in [408, 409, 425, 500, 502, 503, 504, 529] {
        assert_eq!(class(code, ""), busy(false), "{code}");
    }
    assert_eq!(class(429, ""), busy(true));
    assert_eq!(
        class(429, r#"{"error":{"code":"insufficient_quota"}}"#),
        Class::Model
    );
    for code in [301, 307, 401, 402, 403, 404, 405] {
        assert_eq!(class(code, ""), Class::Model, "{code}");
    }
    for code in [400, 413, 414, 415, 422] {
        assert_eq!(class(code, ""), Class::Call, "{code}");
    }
}

#[test]
fn servers_explain_themselves_in_several_ways() {
    let secrets = Secrets::default();
    for body in [
        r#"{"error":{"message":"too long"}}"#,
        r#"{"error":"too long"}"#,
        r#"{"object":"error","message":"too long"}"#,
        r#"{"detail":"too long"}"#,
        "too\nlong",
    ] {
        assert_eq!(server_text(body.as_bytes(), &secrets), "too long");
    }
    assert_eq!(server_text(b"", &secrets), "(no explanation)");
}

fn echo(body: &str, context: &str, continuations: &[&str]) -> Result<Vec<Score>, Failure> {
    let continuations: Vec<_> = continuations.iter().map(|c| (*c).to_owned()).collect();
    let terms = Terms {
        most: MOST,
        secrets: &Secrets::default(),
    };
    scores(body.as_bytes(), context, &continuations, terms).map(|s| s.0)
}

#[test]
fn a_continuation_is_the_sum_of_its_tokens() {
    let body = r#"{"choices":[
        {"index":1,"logprobs":{"tokens":["Sky"," is"," gr","een"],"token_logprobs":[null,-1.0,-2.5,-0.25],"text_offset":[0,3,6,9]}},
        {"index":0,"logprobs":{"tokens":["Sky"," is"," blue"],"token_logprobs":[null,-1.0,-0.5],"text_offset":[0,3,6]}}]}"#;
    assert_eq!(
        echo(body, "Sky is", &[" blue", " green"]),
        Ok(vec![
            Score {
                logprob: -0.5,
                tokens: 1
            },
            Score {
                logprob: -2.75,
                tokens: 2
            }
        ])
    );
}

#[test]
fn tokens_before_the_text_and_tokens_across_the_boundary_are_seen() {
    let one = |tokens: &str, offsets: &str| {
        format!(
            r#"{{"choices":[{{"logprobs":{{"tokens":{tokens},"token_logprobs":[null,-1.0,-2.0],"text_offset":{offsets}}}}}]}}"#
        )
    };
    let score = |logprob, tokens| Ok(vec![Score { logprob, tokens }]);
    assert_eq!(
        echo(&one(r#"["<s>","ab","cd"]"#, "[0,3,5]"), "ab", &["cd"]),
        score(-2.0, 1)
    );
    assert_eq!(
        echo(&one(r#"["a","bc","d"]"#, "[0,1,3]"), "ab", &["cd"]),
        score(-3.0, 2)
    );
    // The continuation's character is split over two tokens that have no text of their own.
    assert_eq!(
        echo(
            &one("[\"ab\",\"\u{fffd}\",\"\u{fffd}\"]", "[0,2,3]"),
            "ab",
            &["é"]
        ),
        score(-3.0, 2)
    );
}

#[test]
fn scores_that_do_not_fit_are_no_scores() {
    let first = r#"{"choices":[{"logprobs":{"tokens":["ab"],"token_logprobs":[null]}}]}"#;
    let other = r#"{"choices":[{"logprobs":{"tokens":["x","y"],"token_logprobs":[null,-1]}}]}"#;
    let uneven = r#"{"choices":[{"logprobs":{"tokens":["a","b"],"token_logprobs":[null]}}]}"#;
    let absent = r#"{"choices":[{"text":"ab"}]}"#;
    for body in [first, other, uneven, absent] {
        assert_eq!(
            echo(body, "a", &["b"]).unwrap_err().class,
            Class::Call,
            "{body}"
        );
    }
    assert_eq!(
        echo(first, "a", &["b", "c"]).unwrap_err().class,
        Class::Malformed
    );
}

proptest! {
    #[test]
    fn no_reply_panics(body in "\\PC{0,80}", cut in 0usize..200) {
        let whole = choice(r#""message":{"content":"a"},"finish_reason":"stop""#);
        prop_assert!(read(&body).is_err());
        // Cut anywhere, it is never an answer.
        if cut < whole.len() {
            prop_assert!(read(&whole[..cut]).is_err());
        }
        let _ = echo(&body, "a", &["b"]);
    }
}
