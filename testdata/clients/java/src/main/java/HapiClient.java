import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.MethodOutcome;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.server.exceptions.ResourceGoneException;
import ca.uhn.fhir.rest.server.exceptions.UnprocessableEntityException;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import org.hl7.fhir.instance.model.api.IBaseBundle;
import org.hl7.fhir.r4.model.*;

/** The HAPI generic client, unmodified: create, search with paging, transaction, history, patch, in JSON and in XML. The argument is the base URL. */
public class HapiClient {
  static final int TOTAL = 45;

  static void is(String step, Object got, Object want) {
    System.out.println("hapi: " + step + ": " + got);
    if (!Objects.equals(got, want)) {
      System.err.println("hapi: " + step + ": " + got + ", want " + want);
      System.exit(1);
    }
  }

  public static void main(String[] args) {
    FhirContext context = FhirContext.forR4();
    context.getRestfulClientFactory().setSocketTimeout(60_000);
    for (EncodingEnum encoding : args.length > 1 ? List.of(EncodingEnum.JSON) : List.of(EncodingEnum.JSON, EncodingEnum.XML)) {
      IGenericClient client = context.newRestfulGenericClient(args[0]); // asks for /metadata first
      client.setEncoding(encoding);
      run(client, encoding.name());
    }
  }

  static void run(IGenericClient client, String as) {
    String tag = UUID.randomUUID().toString();
    Patient patient = new Patient();
    patient.addName().setText("欧阳娜娜");
    patient.setGender(Enumerations.AdministrativeGender.MALE);
    patient.addIdentifier().setSystem("http://example.org/hapi").setValue(tag);
    MethodOutcome made = client.create().resource(patient).execute();
    is(as + " created", made.getCreated(), true);
    String id = made.getId().getIdPart();
    is(as + " read", client.read().resource(Patient.class).withId(id).execute().getNameFirstRep().getText(), "欧阳娜娜");
    is(as + " conditional create", client.create().resource(patient).conditional().where(Patient.IDENTIFIER.exactly().systemAndCode("http://example.org/hapi", tag)).execute().getId().getIdPart(), id);

    Bundle bundle = new Bundle().setType(Bundle.BundleType.TRANSACTION);
    for (int n = 0; n < TOTAL; n++) {
      Patient p = new Patient();
      p.getMeta().addTag().setSystem("http://example.org/run").setCode(tag);
      p.setBirthDateElement(new DateType(String.format("19%02d-05-01", 50 + n)));
      bundle.addEntry().setFullUrl("urn:uuid:" + UUID.randomUUID()).setResource(p).getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Patient");
    }
    Observation weight = new Observation();
    weight.setStatus(Observation.ObservationStatus.FINAL).getCode().setText("体重");
    weight.setSubject(new Reference(bundle.getEntryFirstRep().getFullUrl()));
    weight.setValue(new Quantity().setValue(new java.math.BigDecimal("60.50")).setUnit("kg").setSystem("http://unitsofmeasure.org").setCode("kg"));
    bundle.addEntry().setResource(weight).getRequest().setMethod(Bundle.HTTPVerb.POST).setUrl("Observation");
    Bundle answer = client.transaction().withBundle(bundle).execute();
    is(as + " transaction entries", answer.getEntry().size(), TOTAL + 1);
    String first = new IdType(answer.getEntryFirstRep().getResponse().getLocation()).getIdPart();

    HashSet<String> ids = new HashSet<>();
    int count = 0, pages = 0;
    Bundle page = client.search().forResource(Patient.class).withTag("http://example.org/run", tag).count(20).returnBundle(Bundle.class).execute();
    while (page != null) {
      pages++;
      for (Bundle.BundleEntryComponent e : page.getEntry()) {
        ids.add(e.getResource().getIdElement().getIdPart());
        count++;
      }
      page = page.getLink(IBaseBundle.LINK_NEXT) == null ? null : client.loadPage().next(page).execute();
    }
    is(as + " pages", List.of(pages, count, ids.size()), List.of(3, TOTAL, TOTAL));
    Bundle sorted = client.search().forResource(Patient.class).withTag("http://example.org/run", tag).sort().descending(Patient.BIRTHDATE).count(1).returnBundle(Bundle.class).execute();
    is(as + " sorted", ((Patient) sorted.getEntryFirstRep().getResource()).getBirthDateElement().getValueAsString(), "1994-05-01");
    Bundle included = client.search().forResource(Observation.class).where(Observation.SUBJECT.hasId("Patient/" + first)).include(Observation.INCLUDE_SUBJECT).returnBundle(Bundle.class).execute();
    is(as + " include", included.getEntry().size(), 2);
    Observation got = (Observation) included.getEntryFirstRep().getResource();
    is(as + " decimal as written", got.getValueQuantity().getValue().toPlainString(), "60.50");
    Bundle chained = client.search().forResource(Observation.class).where(Observation.SUBJECT.hasChainedProperty("Patient", Patient.BIRTHDATE.exactly().day("1950-05-01"))).and(Observation.SUBJECT.hasId("Patient/" + first)).returnBundle(Bundle.class).execute();
    is(as + " chain", chained.getEntry().size(), 1);

    client.patch().withBody("[{\"op\":\"replace\",\"path\":\"/gender\",\"value\":\"female\"}]").withId("Patient/" + id).execute();
    Parameters change = new Parameters();
    Parameters.ParametersParameterComponent operation = change.addParameter().setName("operation");
    operation.addPart().setName("type").setValue(new CodeType("add"));
    operation.addPart().setName("path").setValue(new StringType("Patient"));
    operation.addPart().setName("name").setValue(new StringType("birthDate"));
    operation.addPart().setName("value").setValue(new DateType("2000-11-15"));
    client.patch().withFhirPatch(change).withId("Patient/" + id).execute();
    Patient patched = client.read().resource(Patient.class).withId(id).execute();
    is(as + " patched", patched.getGender().toCode() + " " + patched.getBirthDateElement().getValueAsString() + " " + patched.getMeta().getVersionId(), "female 2000-11-15 3");
    Bundle history = client.history().onInstance(new IdType("Patient", id)).returnBundle(Bundle.class).execute();
    is(as + " history", history.getEntry().stream().map(e -> e.getResource().getMeta().getVersionId()).toList(), List.of("3", "2", "1"));
    Parameters everything = client.operation().onInstance(new IdType("Patient", first)).named("$everything").withNoParameters(Parameters.class).useHttpGet().execute();
    is(as + " $everything", ((Bundle) everything.getParameterFirstRep().getResource()).getEntry().size(), 2);
    Patient wrong = new Patient();
    wrong.addName().setUse(null).setText("x");
    wrong.setId("other");
    try {
      client.update().resource(wrong).withId("not_an_id").execute();
      is(as + " a bad id is refused", false, true);
    } catch (ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException e) {
      is(as + " a bad id is refused", e.getStatusCode() / 100 == 4 && e.getOperationOutcome() != null, true);
    }
    client.delete().resourceById("Patient", id).execute();
    try {
      client.read().resource(Patient.class).withId(id).execute();
      is(as + " deleted is gone", false, true);
    } catch (ResourceGoneException e) {
      is(as + " deleted is gone", true, true);
    }
  }
}
