use super::*;
use mldash_track::{Metadata, Options};

#[test]
fn parts_are_numbered_behind_the_first_ones_name() {
    let root = tempfile::tempdir().unwrap();
    let open = |name: &str| Experiment::open(name, Options::local(root.path())).unwrap();
    let mut parts = Parts::default();
    let first = open("alice/lab/run_7");
    assert_eq!(parts.next_name(&first), ("alice/lab/run_7_002".to_owned(), 2));
    parts.begin(first.name(), 2);
    let second = open("alice/lab/run_7_002");
    assert_eq!(parts.next_name(&second), ("alice/lab/run_7_003".to_owned(), 3));
    open("alice/lab/run_7_003").close().unwrap();
    assert_eq!(parts.next_name(&second), ("alice/lab/run_7_004".to_owned(), 4));
    parts.set_continue(true);
    assert_eq!(parts.next_name(&second).1, 4, "it continues another recording");
    second.start_run(Metadata::new()).unwrap();
    second.continue_in("alice/lab/run_7_003").unwrap();
    assert_eq!(parts.next_name(&second).1, 3);
}

#[test]
fn of_many_parts_the_last_ones_account_and_the_first_failure_are_kept() {
    let mut parts = Parts::default();
    for number in 1..=3 {
        let finish = move |(), _: &Progress| {
            let account = Account { experiment: number.to_string(), ..Account::default() };
            let failed = std::io::Error::other(number.to_string());
            (account, if number == 1 { Ok(()) } else { Err(TrackError::Thread(failed)) })
        };
        let closer = parts.closer(finish).unwrap();
        parts.close(closer, ());
    }
    let (last, earlier, closed) = parts.finish_with_last();
    assert_eq!(last.experiment, "3");
    let earlier: Vec<&str> = earlier.iter().map(|part| part.experiment.as_str()).collect();
    assert_eq!(earlier, ["1", "2"]);
    assert!(one_line(&closed.unwrap_err()).contains('2'));
}

#[test]
fn splits_faster_than_parts_close_are_refused() {
    let mut parts = Parts::default();
    let (hold, held) = sync_channel::<()>(0);
    let held = std::sync::Arc::new(parking_lot::Mutex::new(held));
    for _ in 0..MAX_CLOSING {
        let held = held.clone();
        let finish = move |(), _: &Progress| {
            let _ = held.lock().recv();
            (Account { complete: true, ..Account::default() }, Ok(()))
        };
        let closer = parts.closer(finish).unwrap();
        parts.close(closer, ());
    }
    let refused = parts.closer(|(), _| (Account::default(), Ok(()))).err().unwrap();
    assert!(matches!(refused, PartError::StillClosing(MAX_CLOSING)), "{refused}");
    drop(hold);
    let (accounts, closed) = parts.finish();
    assert_eq!(accounts.iter().filter(|part| part.complete).count(), MAX_CLOSING);
    assert!(closed.is_ok());
}

#[test]
fn parts_that_wait_for_a_server_hold_up_none_and_a_flush_waits_for_none() {
    let mut parts = Parts::default();
    let (hold, held) = sync_channel::<()>(0);
    let held = std::sync::Arc::new(parking_lot::Mutex::new(held));
    for _ in 0..MAX_ENDED {
        let held = held.clone();
        let finish = move |(), progress: &Progress| {
            progress.set_flushed(Ok(()));
            progress.set_closed();
            let _ = held.lock().recv();
            (Account::default(), Ok(()))
        };
        let closer = parts.closer(finish).unwrap();
        parts.close(closer, ());
        parts.wait_until_flushed().unwrap();
        parts.closing.last().unwrap().progress.wait_until(Stage::Closed).unwrap();
    }
    let refused = parts.closer(|(), _| (Account::default(), Ok(()))).err().unwrap();
    assert!(matches!(refused, PartError::StillClosing(MAX_ENDED)), "{refused}");
    drop(hold);
    assert_eq!(parts.finish().0.len(), MAX_ENDED);
}

#[test]
fn a_flush_waits_for_the_rows_of_ended_parts_and_says_what_failed() {
    let mut parts = Parts::default();
    let (hold, held) = sync_channel::<()>(0);
    let finish = move |(), progress: &Progress| {
        let _ = held.recv();
        let no_space = std::io::Error::from(std::io::ErrorKind::StorageFull);
        progress.set_flushed(Err(TrackError::Thread(no_space)));
        (Account::default(), Ok(()))
    };
    let closer = parts.closer(finish).unwrap();
    parts.close(closer, ());
    let flushed = thread::scope(|scope| {
        let waiting = scope.spawn(|| parts.wait_until_flushed());
        drop(hold);
        waiting.join().unwrap()
    });
    assert!(flushed.is_err());
    let closer = parts.closer(|(), _| panic!("a fault of its own")).unwrap();
    parts.close(closer, ());
    parts.wait_until_flushed().unwrap();
}
