//! Transactional messages.

use crate::header;

header! {
    /// Request of `END_TRANSACTION`.
    pub struct EndTransactionRequestHeader {
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Producer group.
        pub producer_group: String => "producerGroup",
        /// Queue offset of the half message.
        pub tran_state_table_offset: i64 => "tranStateTableOffset",
        /// Physical offset of the half message.
        pub commit_log_offset: i64 => "commitLogOffset",
        /// 8 commit, 12 rollback, 0 unknown.
        pub commit_or_rollback: i32 => "commitOrRollback",
        /// Whether this answers a check by the broker.
        pub from_transaction_check: bool => "fromTransactionCheck" or false,
        /// Message id.
        pub msg_id: Option<String> => "msgId",
        /// Transaction id (the unique key).
        pub transaction_id: Option<String> => "transactionId",
    }

    /// Request of `CHECK_TRANSACTION_STATE`.
    pub struct CheckTransactionStateRequestHeader {
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Queue offset of the half message.
        pub tran_state_table_offset: i64 => "tranStateTableOffset",
        /// Physical offset of the half message.
        pub commit_log_offset: i64 => "commitLogOffset",
        /// Unique key of the half message.
        pub msg_id: Option<String> => "msgId",
        /// Transaction id (the unique key).
        pub transaction_id: Option<String> => "transactionId",
        /// Offset message id.
        pub offset_msg_id: Option<String> => "offsetMsgId",
    }

    /// Request of `RESUME_CHECK_HALF_MESSAGE`.
    pub struct ResumeCheckHalfMessageRequestHeader {
        /// Topic.
        pub topic: Option<String> => "topic",
        /// Message id.
        pub msg_id: Option<String> => "msgId",
    }
}
