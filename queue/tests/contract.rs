//! What every backend promises, held against each of them. Redis tests run on a real Redis under a prefix
//! of their own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/backend.rs"]
mod backend;
#[path = "contract/promises.rs"]
mod promises;

/// One test for each backend, of the same name.
macro_rules! contract {
    ($($promise:ident)*) => {
        mod embedded {
            $(#[tokio::test] async fn $promise() {
                super::promises::$promise(super::backend::Backend::embedded()).await;
            })*
        }
        mod redis {
            $(#[tokio::test] async fn $promise() {
                super::promises::$promise(super::backend::Backend::redis(1)).await;
            })*
        }
        mod redis_partitioned {
            $(#[tokio::test] async fn $promise() {
                super::promises::$promise(super::backend::Backend::redis(3)).await;
            })*
        }
    };
}

contract! {
    what_was_appended_is_read_and_acked_for_good
    an_unacked_entry_comes_again_after_reopening
    an_acked_entry_never_comes_again
    acking_twice_counts_once
    an_entry_goes_to_one_reader_at_a_time
    another_consumer_reclaims_what_was_left_with_tries_counted
    what_is_not_idle_is_not_reclaimed
    concurrent_appends_are_all_there
    a_waiting_reader_is_woken
    a_read_without_entries_ends_after_linger
    a_dropped_read_loses_nothing
    a_batch_ends_at_its_bounds
    a_full_queue_refuses_and_takes_again_after_acks
    the_backlog_is_exact
    a_dead_letter_keeps_the_entry_and_frees_the_queue
    an_entry_of_a_later_version_is_delivered_as_undecodable
    a_closed_queue_refuses
}
