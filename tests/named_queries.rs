//! Every named query runs and yields the columns its header promises.

use zoolake::sql::{Session, named_queries};

use crate::fixture::synthetic_store;

#[tokio::test]
async fn columns_are_those_of_the_header() {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for query in named_queries().unwrap() {
        for zoo in ["NULL", "synthetic", "none such"] {
            let given: Vec<_> = query
                .parameters
                .iter()
                .filter(|parameter| parameter.name == "zoo")
                .map(|_| ("zoo".to_owned(), zoo.to_owned()))
                .collect();
            let rows = session.sql_with(query.sql, query.bind(&given).unwrap()).await.unwrap();
            let schema = rows.schema();
            let columns: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            let promised: Vec<&str> = query.columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(columns, promised, "{}", query.name);
            let rows: usize =
                rows.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum();
            assert_eq!(rows > 0, zoo != "none such" || given.is_empty(), "{} {zoo}", query.name);
        }
    }
}

#[tokio::test]
async fn an_empty_store_has_no_rows_and_no_errors() {
    use zoolake::store::{Location, Store};
    let store = Store::open_or_create(Location::memory()).await.unwrap();
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for query in named_queries().unwrap() {
        let rows = session.sql_with(query.sql, query.bind(&[]).unwrap()).await.unwrap();
        let rows = rows.collect().await.unwrap();
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0, "{}", query.name);
    }
}
