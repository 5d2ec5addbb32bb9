"""Everything that knows SQL: tables, migrations, statements, the compilation of filters and selections."""
