//! `mldash_bridge schema`: all keys of a YAML file, for editors and for people; and the line by which an editor finds them.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mldash_bridge::export::recipe::RECIPE;
use mldash_bridge::mapping::MAPPING;
use mldash_bridge::record::yaml::KeyTable;

use super::Failure;
use super::align::JOINS;

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// What file.
    kind: Kind,
    /// Print a page for people instead, in Markdown.
    #[arg(long)]
    reference: bool,
}

/// A kind of files that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A mapping, of `run` and `import`.
    Mapping,
    /// A recipe of `dataset`.
    Recipe,
    /// A recipe of `align`.
    Joins,
}

pub(crate) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let kind = args.kind;
    let text = match args.reference {
        true => kind.table().reference(kind.title(), kind.intro()),
        false => format!("{:#}\n", kind.table().schema()),
    };
    Ok(stdout().write_all(text.as_bytes())?)
}

impl Kind {
    fn table(self) -> &'static KeyTable {
        match self {
            Self::Mapping => &MAPPING,
            Self::Recipe => &RECIPE,
            Self::Joins => &JOINS,
        }
    }

    /// The schema's file, in `config` and where that is installed.
    fn file(self) -> &'static str {
        match self {
            Self::Mapping => "mapping.schema.json",
            Self::Recipe => "recipe.schema.json",
            Self::Joins => "joins.schema.json",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Mapping => "Mapping: all keys",
            Self::Recipe => "Dataset recipe: all keys",
            Self::Joins => "Align recipe: all keys",
        }
    }

    fn intro(self) -> &'static str {
        match self {
            Self::Mapping => include_str!("schema/mapping.md"),
            Self::Recipe => include_str!("schema/recipe.md"),
            Self::Joins => include_str!("schema/joins.md"),
        }
    }

    /// The first lines of a file that is written for people to edit: where an editor finds its keys. That is the schema that
    /// is installed with the program; else one beside the file, and how to make it.
    pub(super) fn editor_lines(self) -> String {
        let installed = std::env::current_exe().ok().and_then(|exe| self.installed(&exe));
        match installed {
            Some(schema) => format!("# yaml-language-server: $schema={}\n", schema.display()),
            None => {
                let file = self.file();
                let kind = self.to_possible_value();
                let kind = kind.as_ref().map_or("", |kind| kind.get_name());
                format!(
                    "# yaml-language-server: $schema={file}\n# For editors; `mldash_bridge schema {kind} >{file}` makes \
                     that file.\n"
                )
            }
        }
    }

    /// The schema's place below a prefix that the program is in: in `bin`, or in `lib/mldash_bridge`.
    fn installed(self, exe: &Path) -> Option<PathBuf> {
        let prefixes = exe.canonicalize().ok()?;
        let place = Path::new("share/mldash_bridge/config").join(self.file());
        prefixes
            .ancestors()
            .skip(2)
            .take(2)
            .map(|prefix| prefix.join(&place))
            .find(|at| at.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_found_in_the_prefix_that_the_program_is_in() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().canonicalize().unwrap();
        let schema = prefix.join("share/mldash_bridge/config/mapping.schema.json");
        for program in ["bin/mldash_bridge", "lib/mldash_bridge/mldash_bridge"] {
            let program = prefix.join(program);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "").unwrap();
            assert_eq!(Kind::Mapping.installed(&program), None);
        }
        std::fs::create_dir_all(schema.parent().unwrap()).unwrap();
        std::fs::write(&schema, "").unwrap();
        for program in ["bin/mldash_bridge", "lib/mldash_bridge/mldash_bridge"] {
            assert_eq!(Kind::Mapping.installed(&prefix.join(program)).as_ref(), Some(&schema));
        }
    }
}
