use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::token::Namespace;

fn key(run: usize) -> Key {
    vec![format!("alice/lab/run-{run}").parse().unwrap()]
}

fn place(reports: &Reports, namespace: &str) -> Option<Share> {
    let mut share = Share::nothing(&reports.places, &Namespace::new(namespace), false);
    share.grow(1).ok().map(|()| share)
}

async fn ask<F: Future<Output = Outcome> + Send + 'static>(
    reports: &Arc<Reports>,
    key: Key,
    state: &str,
    make: impl FnOnce(Arc<Progress>) -> F,
) -> Result<Answer, ApiError> {
    let owner = owner_of(&key).to_owned();
    reports.page(key, state.to_owned(), || place(reports, &owner), make).await
}

async fn panics() -> Outcome {
    panic!("in a test")
}

/// Counts how often it is called; the length of a page of so many bytes.
async fn get(
    reports: &Arc<Reports>,
    key: Key,
    state: &str,
    made: &Arc<AtomicUsize>,
    bytes: usize,
) -> usize {
    let made = made.clone();
    let make = |_| async move {
        made.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(Bytes::from(vec![b'x'; bytes]))
    };
    match ask(reports, key, state, make).await.unwrap() {
        Answer::Page(page) => page.len(),
        Answer::NotYet { .. } => panic!("it takes no time"),
    }
}

fn is_free(reports: &Reports) -> bool {
    Share::nothing(&reports.places, &Namespace::new("carol"), true).grow(AT_ONCE).is_ok()
}

fn kept(reports: &Reports) -> Vec<Key> {
    let mut kept: Vec<Key> = reports.state.lock().slots.keys().cloned().collect();
    kept.sort();
    kept
}

#[tokio::test]
async fn a_report_is_made_once_while_nothing_changes_also_for_those_who_ask_at_once() {
    let (reports, made) = (Arc::new(Reports::default()), Arc::default());
    let both =
        tokio::join!(get(&reports, key(1), "a", &made, 5), get(&reports, key(1), "a", &made, 6));
    assert_eq!((both, made.load(Ordering::Relaxed)), ((5, 5), 1));
    assert_eq!(get(&reports, key(1), "a", &made, 7).await, 5);
}

#[test]
fn a_new_one_is_made_once_things_have_changed_but_no_sooner_than_the_last_one_took() {
    let took = |took| {
        let (state, page) = ("a".to_owned(), Bytes::new());
        Made { state, page, ended: Instant::now(), took }
    };
    let [quick, slow] = [Duration::ZERO, Duration::from_secs(3600)].map(took);
    assert!(quick.does("a") && slow.does("a") && slow.does("b"));
    assert!(!quick.does("b"));
}

#[tokio::test]
async fn no_more_is_kept_than_may_be_and_the_others_keep_theirs() {
    let (reports, made) = (Arc::new(Reports::default()), Arc::default());
    let bobs: Key = vec!["bob/lab/run".parse().unwrap()];
    get(&reports, bobs.clone(), "a", &made, MAX_KEPT_BYTES / 4).await;
    for run in 0..5 {
        get(&reports, key(run), "a", &made, MAX_KEPT_BYTES / 4).await;
    }
    assert_eq!(kept(&reports), [key(2), key(3), key(4), bobs], "alice has most, and loses hers");
    get(&reports, key(9), "a", &made, MAX_KEPT_BYTES).await;
    assert_eq!(kept(&reports), [key(9)], "the last one is kept");
}

#[tokio::test]
async fn a_page_that_is_out_of_date_is_kept_until_there_is_a_place_to_make_another() {
    let (reports, made) = (Arc::new(Reports::default()), Arc::default());
    get(&reports, key(1), "a", &made, 5).await;
    if let Some(Slot { content: Content::Made(page), .. }) =
        reports.state.lock().slots.get_mut(&key(1))
    {
        page.took = Duration::ZERO;
    }
    let all: Vec<Share> = std::iter::from_fn(|| place(&reports, "alice")).collect();
    assert!(ask(&reports, key(1), "b", |_| panics()).await.is_err(), "there is no place");
    assert_eq!(get(&reports, key(1), "a", &made, 6).await, 5);
    drop(all);
    assert_eq!(get(&reports, key(1), "b", &made, 7).await, 7);
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_fails_leaves_nothing() {
    let reports = Arc::new(Reports::default());
    let fails = |_| async { Err(ApiError::too_large("no")) };
    assert!(ask(&reports, key(1), "a", fails).await.is_err());
    assert!(ask(&reports, key(2), "a", |_| panics()).await.is_err());
    let all: Vec<Share> = std::iter::from_fn(|| place(&reports, "alice")).collect();
    assert!(ask(&reports, key(3), "a", |_| panics()).await.is_err(), "there is no place");
    drop(all);
    assert!(kept(&reports).is_empty() && is_free(&reports));
}

#[tokio::test]
async fn what_was_begun_goes_on_without_who_asked_for_it_and_is_there_for_who_asks_again() {
    let (reports, go_on, made) =
        (Arc::new(Reports::default()), Arc::new(Notify::new()), Arc::default());
    let waits = go_on.clone();
    let slow = |_| async move {
        waits.notified().await;
        Ok(Bytes::from_static(b"page"))
    };
    let asks = tokio::spawn({
        let reports = reports.clone();
        async move { ask(&reports, key(1), "a", slow).await }
    });
    while kept(&reports).is_empty() {
        tokio::task::yield_now().await;
    }
    asks.abort();
    assert!(asks.await.unwrap_err().is_cancelled() && !is_free(&reports));
    go_on.notify_one();
    assert_eq!(get(&reports, key(1), "a", &made, 9).await, 4);
    assert_eq!(made.load(Ordering::Relaxed), 0, "it was not made again");
    assert!(is_free(&reports));
}

#[tokio::test]
async fn who_waits_for_long_is_told_how_far_it_is_and_in_the_end_why_there_is_none() {
    let reports = Arc::new(Reports { patience: Duration::ZERO, ..Reports::default() });
    let go_on = Arc::new(Notify::new());
    let waits = go_on.clone();
    let slow = |_| async move {
        waits.notified().await;
        Err(ApiError::too_large("no"))
    };
    let answer = ask(&reports, key(1), "a", slow).await.unwrap();
    assert!(matches!(answer, Answer::NotYet { rows: 0, of: 0 }), "{answer:?}");
    let again = ask(&reports, key(1), "b", |_| panics()).await.unwrap();
    assert!(matches!(again, Answer::NotYet { .. }), "it is being made");
    go_on.notify_one();
    while !is_free(&reports) {
        tokio::task::yield_now().await;
    }
    let told = ask(&reports, key(1), "b", |_| panics()).await.unwrap_err();
    assert_eq!(told.message(), "no");
    assert!(kept(&reports).is_empty(), "and then it can be tried again");
}

#[tokio::test]
async fn a_report_that_nobody_asks_for_any_more_is_stopped() {
    let reports = Arc::new(Reports::default());
    let until_stopped = |progress: Arc<Progress>| async move {
        while !progress.is_stopped() {
            sleep(Duration::from_millis(1)).await;
        }
        Err(ApiError::busy("stopped"))
    };
    let asks = tokio::spawn({
        let reports = reports.clone();
        async move { ask(&reports, key(1), "a", until_stopped).await }
    });
    while kept(&reports).is_empty() {
        tokio::task::yield_now().await;
    }
    asks.abort();
    for slot in reports.state.lock().slots.values_mut() {
        slot.used -= LEFT;
    }
    while !kept(&reports).is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(is_free(&reports));
}

#[tokio::test]
async fn a_namespace_that_always_asks_is_not_always_first() {
    let (reports, bytes, order) = (Reports::default(), Shares::new(300), Mutex::new(Vec::new()));
    let of = |name: &str| Memory::within(&bytes, &Namespace::new(name));
    let mut first = of("alice");
    first.hold(150).unwrap();
    let waits = async |name: &'static str| {
        let mut memory = of(name);
        reports.hold(&mut memory, 100, &Progress::default()).await.unwrap();
        order.lock().push(name);
        memory
    };
    // Bob waits for what she holds, and she would have to, too.
    tokio::join!(waits("bob"), waits("alice"), async { drop(first) });
    assert_eq!(*order.lock(), ["bob", "alice"]);
}
