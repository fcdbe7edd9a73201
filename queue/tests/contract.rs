//! What every backend promises, held against each of them. Redis tests run on a real Redis under a prefix
//! of their own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "contract/backend.rs"]
mod backend;
#[path = "contract/dead_letters.rs"]
mod dead_letters;
#[path = "contract/promises.rs"]
mod promises;

/// One test for each backend, of the same name.
macro_rules! contract {
    ($($file:ident::$promise:ident)*) => {
        mod embedded {
            $(#[tokio::test] async fn $promise() {
                super::$file::$promise(super::backend::Backend::embedded()).await;
            })*
        }
        mod redis {
            $(#[tokio::test] async fn $promise() {
                super::$file::$promise(super::backend::Backend::redis(1)).await;
            })*
        }
        mod redis_partitioned {
            $(#[tokio::test] async fn $promise() {
                super::$file::$promise(super::backend::Backend::redis(3)).await;
            })*
        }
        mod spooled {
            $(#[tokio::test] async fn $promise() {
                super::$file::$promise(super::backend::Backend::spooled()).await;
            })*
        }
    };
}

contract! {
    promises::what_was_appended_is_read_and_acked_for_good
    promises::an_unacked_entry_comes_again_after_reopening
    promises::an_acked_entry_never_comes_again
    promises::acking_twice_counts_once
    promises::an_entry_goes_to_one_reader_at_a_time
    promises::another_consumer_reclaims_what_was_left_with_tries_counted
    promises::what_is_not_idle_is_not_reclaimed
    promises::concurrent_appends_are_all_there
    promises::a_waiting_reader_is_woken
    promises::a_read_without_entries_ends_after_linger
    promises::a_dropped_read_loses_nothing
    promises::a_batch_ends_at_its_bounds
    promises::a_full_queue_refuses_and_takes_again_after_acks
    promises::the_backlog_is_exact
    dead_letters::a_dead_letter_keeps_the_entry_and_frees_the_queue
    promises::an_entry_of_a_later_version_is_delivered_as_undecodable
    promises::a_closed_queue_refuses
    dead_letters::dead_letters_come_in_pages
    dead_letters::a_replayed_dead_letter_is_an_entry_again_and_counts_as_new
    dead_letters::dead_letters_have_a_bound_and_beyond_it_entries_stay_pending
    dead_letters::a_full_queue_takes_no_dead_letters_back
    dead_letters::a_try_alone_is_written_down_until_the_ack
    dead_letters::tries_of_dead_letters_are_forgotten
}
