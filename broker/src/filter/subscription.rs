//! Builds subscriptions from expressions, and corrects those that clients send.

use hypergol_remoting::message::{TagExpressionError, tag_subscription};
use hypergol_remoting::protocol::body::heartbeat::{EXPRESSION_TAG, SubscriptionData};
use thiserror::Error;

/// Why an expression is no subscription; answered with code 23.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SubscriptionError {
    /// Nothing but separators.
    #[error(transparent)]
    NoTags(#[from] TagExpressionError),
    /// A type other than tags needs an expression.
    #[error("Expression can't be null! {0}")]
    NoExpression(String),
}

/// The subscription to `topic` by an expression of a type (`TAG` where absent), as Java's `FilterAPI.build`.
pub fn build(
    topic: &str,
    expression: Option<&str>,
    expression_type: Option<&str>,
) -> Result<SubscriptionData, SubscriptionError> {
    let expression = expression.unwrap_or_default();
    let Some(other) = expression_type.filter(|kind| *kind != EXPRESSION_TAG) else {
        return Ok(tag_subscription(topic, expression)?);
    };
    if expression.is_empty() {
        return Err(SubscriptionError::NoExpression(other.to_owned()));
    }
    Ok(SubscriptionData {
        topic: topic.to_owned(),
        sub_string: Some(expression.to_owned()),
        expression_type: Some(other.to_owned()),
        ..SubscriptionData::default()
    })
}

/// What is said where expressions are not allowed (`enablePropertyFilter`).
pub fn unsupported(subscription: &SubscriptionData) -> String {
    let kind = subscription.expression_type.as_deref().unwrap_or_default();
    format!("The broker does not support consumer to filter message by {kind}")
}

/// Computes tags and their hashes of a client's subscription anew: the Go client hashes UTF-8 bytes where brokers
/// compare Java's hash. What has no expression stays as it came.
pub fn corrected(mut subscription: SubscriptionData) -> SubscriptionData {
    let expression = subscription.sub_string.as_deref().filter(|expression| !expression.is_empty());
    if let Some(expression) = expression.filter(|_| subscription.is_tag_type())
        && let Ok(computed) = tag_subscription(&subscription.topic, expression)
    {
        subscription.tags_set = computed.tags_set;
        subscription.code_set = computed.code_set;
    }
    subscription
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_split_trimmed_and_hashed_as_java_does() {
        let built = build("T", Some("A || TM2||  ||A"), None).unwrap();
        assert_eq!(built.tags_set, ["A", "TM2"]);
        assert_eq!(built.code_set, [65, 83_161]);
        assert_eq!(built.sub_string.as_deref(), Some("A || TM2||  ||A"));
        assert_eq!(built.expression_type.as_deref(), Some("TAG"));
    }

    #[test]
    fn nothing_or_a_star_is_everything() {
        for all in [None, Some(""), Some("*")] {
            let built = build("T", all, Some("TAG")).unwrap();
            assert_eq!(built.sub_string.as_deref(), Some("*"));
            assert!(built.tags_set.is_empty() && built.code_set.is_empty());
        }
    }

    #[test]
    fn expressions_without_content_are_refused() {
        assert_eq!(build("T", Some("||"), None), Err(TagExpressionError.into()));
        assert_eq!(build("T", Some("||||"), None), Err(TagExpressionError.into()));
        assert!(build("T", Some(" ||"), None).unwrap().tags_set.is_empty(), "Java lets this pass");
        assert_eq!(build("T", None, Some("SQL92")), Err(SubscriptionError::NoExpression("SQL92".into())));
    }

    #[test]
    fn other_types_keep_their_expression() {
        let built = build("T", Some("a > 1"), Some("SQL92")).unwrap();
        assert_eq!(built.sub_string.as_deref(), Some("a > 1"));
        assert_eq!(built.expression_type.as_deref(), Some("SQL92"));
        assert!(built.code_set.is_empty());
    }

    #[test]
    fn codes_of_other_hashes_are_replaced() {
        let sent = SubscriptionData {
            topic: "T".into(),
            sub_string: Some("中".into()),
            code_set: vec![-12345],
            ..SubscriptionData::default()
        };
        assert_eq!(corrected(sent).code_set, [20_013]);
    }

    #[test]
    fn what_has_no_tags_expression_is_left_alone() {
        let sent = SubscriptionData { sub_string: None, code_set: vec![7], ..SubscriptionData::default() };
        assert_eq!(corrected(sent.clone()), sent);
        let sql = SubscriptionData {
            expression_type: Some("SQL92".into()),
            sub_string: Some("a is null".into()),
            code_set: vec![7],
            ..SubscriptionData::default()
        };
        assert_eq!(corrected(sql.clone()), sql);
    }
}
