use super::*;

fn fields(text: &str) -> Vec<String> {
    let fields = parse(text, &"demo/msg/T".parse().unwrap()).unwrap().unwrap();
    let shown = |f: RawField<'_>| format!("{} {:?} {:?} {}", f.name, f.element, f.arity, f.line);
    fields.into_iter().map(shown).collect()
}

fn within(body: &str) -> String {
    format!("module demo {{ module msg {{\n{body}\n}}; }};\n")
}

fn problem(body: &str) -> (usize, String) {
    let error = parse(&within(body), &"demo/msg/T".parse().unwrap()).unwrap_err();
    (error.line, error.problem.to_string())
}

#[test]
fn what_rosidl_writes_is_understood() {
    let text = r#"
// generated from rosidl_adapter/resource/msg.idl.em
#include "std_msgs/msg/Header.idl"

module demo {
  module msg {
    typedef double double__9[9];
    typedef demo::msg::Part demo__msg__Part__2[2];
    module T_Constants {
      @verbatim (language="comment", text="a } in (a) \"text\"" "and // another")
      const octet STATUS = 0;
      const string NAME = "struct T { double x; };";
    };
    @verbatim (language="comment", text=
      "what it is")
    struct T {
      std_msgs::msg::Header header;
      @unit (value="m") @key
      double__9 k;
      sequence<uint8> data;
      sequence<string<5>, 3> names;
      wstring<7> wide;
      demo::msg::demo__msg__Part__2 pair; /* a comment
      over lines */ unsigned long long big, bigger;
      Part part;
      long counts[4];
    };
  };
};
"#;
    let header = RawElement::Message { package: Some("std_msgs"), kind: "msg", name: "Header" };
    let part = RawElement::Message { package: Some("demo"), kind: "msg", name: "Part" };
    let own = RawElement::Message { package: None, kind: "msg", name: "Part" };
    let number = RawElement::Primitive;
    let shown = [
        ("header", header, Arity::One, 17),
        ("k", number(Primitive::F64), Arity::Fixed(9), 19),
        ("data", number(Primitive::U8), Arity::Variable { max: None }, 20),
        ("names", RawElement::Text(TextKind::Narrow), Arity::Variable { max: Some(3) }, 21),
        ("wide", RawElement::Text(TextKind::Wide), Arity::One, 22),
        ("pair", part, Arity::Fixed(2), 23),
        ("big", number(Primitive::U64), Arity::One, 24),
        ("bigger", number(Primitive::U64), Arity::One, 24),
        ("part", own, Arity::One, 25),
        ("counts", number(Primitive::I32), Arity::Fixed(4), 26),
    ]
    .map(|(name, element, arity, line)| format!("{name} {element:?} {arity:?} {line}"));
    assert_eq!(fields(text), shown);
}

#[test]
fn a_struct_that_only_rosidl_gave_a_member_has_none() {
    let text = within("struct T { uint8 structure_needs_at_least_one_member; };");
    assert_eq!(fields(&text), Vec::<String>::new());
}

#[test]
fn of_several_structs_the_wanted_one_is_taken() {
    let text = within("struct Other { double x; };\nstruct T { float y; };");
    assert_eq!(fields(&text), ["y Primitive(F32) One 3"]);
    assert_eq!(parse(&text, &"demo/msg/Gone".parse().unwrap()), Ok(None));
}

#[test]
fn what_is_wrong_or_has_no_ros_type_is_named_by_line() {
    for (body, line, words) in [
        ("struct T {\n double x, x; };", 3, "`x` is there twice"),
        ("enum E { A };", 2, "`enum`"),
        ("struct T { long double x; };", 2, "`long double`"),
        ("struct T { sequence<sequence<double>> x; };", 2, "sequences of sequences"),
        ("typedef sequence<double> S; struct T { S x[2]; };", 2, "arrays of sequences"),
        ("typedef double A[2]; struct T { sequence<A> x; };", 2, "sequences of sequences or"),
        ("struct T { sequence<double, N> x; };", 2, "`N`"),
        ("const long N = -1; struct T { double x[N]; };", 2, "a size of at least 1, found `N`"),
        ("struct T { double x[1 / 0]; };", 2, "counted, found `/`"),
        ("struct T { double x[(2]; };", 2, "brackets are closed"),
        ("struct T { double x[2 3]; };", 2, "the end of a size, found `3`"),
        ("struct T { double x[]; };", 2, "a size of at least 1"),
        ("struct T { double\nx[0]; };", 3, "a size of at least 1"),
        ("struct T : Base { double x; };", 2, "inherit"),
        ("struct T { a::b::c::D x; };", 2, "`a::b::c::D`"),
        ("struct T { double 9x; };", 2, "`9x`"),
        ("struct T { double x; /* no end", 2, "end of a comment"),
        ("const string S = \"no end;\n", 2, "end of a text"),
    ] {
        let (at, message) = problem(body);
        assert!(at == line && message.contains(words), "{body}: {at}: {message}");
    }
}

#[test]
fn sizes_may_be_made_of_constants() {
    let text = within(
        "module T_Constants { const unsigned long N = 3; const short M = 0x10 - N; };
             module Other_Constants { const unsigned long M = 1; const float N_ = 1.5; };
             const long L = T_Constants::N * (2 + 1); const string S = \"9\";
             typedef double row[N];
             struct T { sequence<octet, N> a; row b[2]; float c[L][2]; string<T_Constants::M> d;
             sequence<string<N>, demo::msg::L> e; wchar f; short g[~0 & 7 | 1 ^ 1]; };",
    );
    let shown: Vec<String> =
        fields(&text).iter().map(|field| field.rsplit_once(' ').unwrap().0.to_owned()).collect();
    let expected = [
        "a Primitive(U8) Variable { max: Some(3) }",
        "b Primitive(F64) Fixed(6)",
        "c Primitive(F32) Fixed(18)",
        "d Text(Narrow) One",
        "e Text(Narrow) Variable { max: Some(9) }",
        "f Primitive(U16) One",
        "g Primitive(I16) Fixed(7)",
    ];
    assert_eq!(shown, expected);
    let (_, message) = problem(
        "module A { const long N = 1; }; module B { const long N = 2; };
             struct T { double x[N]; };",
    );
    assert!(message.contains("found `N`"), "{message}");
}

#[test]
fn texts_that_nest_without_end_are_refused_at_no_cost() {
    for (start, nested, words) in [
        ("struct T { ", "sequence<", "sequences of sequences"),
        ("struct T { double x[", "(", "nested"),
        ("struct T { double x[", "-", "nested"),
        ("", "module m { ", "nested"),
    ] {
        let text = format!("{start}{}1] }};", nested.repeat(200_000));
        let error = parse(&text, &"demo/msg/T".parse().unwrap()).unwrap_err();
        assert!(error.problem.to_string().contains(words), "{nested}: {}", error.problem);
    }
}

#[test]
fn an_end_too_early_is_told() {
    let error = parse("module demo {", &"demo/msg/T".parse().unwrap()).unwrap_err();
    assert!(error.problem.to_string().contains("ends"), "{}", error.problem);
}
